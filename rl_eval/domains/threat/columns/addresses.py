"""Cells that are IP addresses: the class of each, which means the same in another network."""

from __future__ import annotations

import ipaddress

import numpy as np
import polars as pl

from rl_eval.domains.threat.columns.numbers import MISSING, is_missing

OTHER = "other"  # a text that is not an address, such as the MAC addresses of ARP in Argus' flows
NONE = "none"
PUBLIC = "public"
# The first that holds an address is its class (RFC 6890 and its registries). Written out, since Python's own
# `is_private` differs between its versions.
_CLASSES = [
    (ipaddress.ip_network(network), name)
    for name, networks in {
        "unspecified": ("0.0.0.0/32", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "broadcast": ("255.255.255.255/32",),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "link_local": ("169.254.0.0/16", "fe80::/10"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
        "shared": ("100.64.0.0/10",),
        "reserved": (
            "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "240.0.0.0/4", "100::/64", "2001:db8::/32",
        ),
    }.items()
    for network in networks
]  # fmt: skip
SAMPLE = 1_000


def looks_like_addresses(series: pl.Series, least: float) -> bool:
    """Whether at least this share of the filled cells of a text column, or of a sample of them, are addresses."""
    filled = series.filter(~is_missing(series)).str.strip_chars()
    sample = filled[:: max(1, len(filled) // SAMPLE)].to_list()
    return bool(sample) and sum(_address(text) is not None for text in sample) >= least * len(sample)


def address_classes(series: pl.Series) -> tuple[list[str], np.ndarray]:
    """The class of each address, as text `[R]`, and its version, float64 `[R]`: 4, 6, or 0 for other text."""
    text = series.cast(pl.String).str.strip_chars().fill_null("")
    distinct = text.unique().to_list()
    classes = {value: _class(value) for value in distinct}
    texts = text.to_list()
    return [classes[value][0] for value in texts], np.array([classes[value][1] for value in texts], np.float64)


def _class(text: str) -> tuple[str, int]:
    address = _address(text)
    if address is None:
        return (NONE if text.lower() in ("", *MISSING) else OTHER), 0
    for network, name in _CLASSES:
        if address.version == network.version and address in network:
            return name, address.version
    return PUBLIC, address.version


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; an IPv4 address that is written as IPv6 is one of IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
