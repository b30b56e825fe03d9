"""Times against the standard library's, and classes of addresses against its `ipaddress`."""

import datetime as dt
import ipaddress

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.threat.columns.addresses import address_classes, looks_like_addresses
from rl_eval.domains.threat.columns.times import (
    MISSING,
    day_comes_first,
    hour_and_weekday,
    is_ambiguous,
    looks_like_times,
    parse_times,
    seconds_between,
)

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NOTATIONS = {
    "ISO": lambda t: t.isoformat(),
    "blank, no zone": lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f"),
    "Z": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "EVE": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%f+0000"),
    "another zone": lambda t: t.astimezone(dt.timezone(dt.timedelta(hours=-5, minutes=-30))).isoformat(),
    "Argus": lambda t: t.strftime("%Y/%m/%d %H:%M:%S.%f"),
    "German": lambda t: t.strftime("%d.%m.%Y %H:%M:%S,%f"),
    "named month": lambda t: t.strftime("%d/%b/%Y:%H:%M:%S.%f +0000"),
    "half days": lambda t: t.strftime("%d.%m.%Y %I:%M:%S.%f %p"),
}
moments = st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2099, 1, 1)).map(lambda t: t.replace(tzinfo=dt.UTC))


@pytest.mark.parametrize("notation", NOTATIONS)
@settings(max_examples=10)
@given(st.lists(moments, min_size=1, max_size=10))
def test_times_are_read_in_every_notation(notation, times):
    texts = pl.Series([NOTATIONS[notation](t) for t in times])
    assert parse_times(texts, True).tolist() == [(t - EPOCH) // dt.timedelta(microseconds=1) for t in times]
    assert looks_like_times(texts, 1.0)


@settings(max_examples=20)
@given(st.lists(moments, min_size=1, max_size=10))
def test_hours_and_weekdays_are_those_of_the_calendar(times):
    fields = hour_and_weekday(parse_times(pl.Series([t.isoformat() for t in times]), None))
    for name, period, value in (("hour", 24, lambda t: t.hour), ("weekday", 7, lambda t: t.weekday())):
        angle = np.arctan2(fields[f"{name}_sin"], fields[f"{name}_cos"]) / (2 * np.pi) * period
        assert (np.rint(angle).astype(int) % period).tolist() == [value(t) for t in times]


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("as_text", [False, True])
def test_seconds_since_1970_may_be_in_finer_units(unit, as_text):
    seconds = [1_700_000_000, 1_700_003_600]
    series = pl.Series([s * unit for s in seconds])
    assert parse_times(series.cast(pl.String) if as_text else series, None).tolist() == [s * 10**6 for s in seconds]


@pytest.mark.parametrize(
    ("cells", "first", "ambiguous"),
    [
        (["5/7/2017 3:30", "13/7/2017 3:30"], True, False),
        (["7/5/2017", "7/13/2017"], False, False),
        (["5/7/2017", "6/7/2017"], None, True),
        (["05.07.2017"], True, False),
        (["2017-07-05"], None, False),
    ],
)
def test_day_and_month_are_told_apart_where_they_can_be(cells, first, ambiguous):
    series = pl.Series(cells)
    assert (day_comes_first(series), is_ambiguous(series)) == (first, ambiguous)


@pytest.mark.parametrize("cell", ["2026-02-30", "2026-13-01", "2026-01-01 25:00", "soon", "", None, "12", "1.2.3.4"])
def test_other_cells_are_no_times(cell):
    series = pl.Series(["2026-01-01T00:00:00", "2026-01-02", cell], dtype=pl.String)
    assert (parse_times(series, None) == MISSING).tolist() == [False, False, True]
    fields = hour_and_weekday(parse_times(series, None))
    assert np.isnan(fields["hour_sin"]).tolist() == [False, False, True]


def test_elapsed_seconds_are_missing_where_a_time_is():
    start, end = np.array([0, MISSING, 5_000_000]), np.array([1_500_000, 7, MISSING])
    assert seconds_between(end, start).tolist() == pytest.approx([1.5, np.nan, np.nan], nan_ok=True)


@settings(max_examples=30)
@given(st.lists(st.ip_addresses(), min_size=1, max_size=20))
def test_what_is_private_or_public_by_the_standard_library_is_so_here(addresses):
    classes, versions = address_classes(pl.Series([str(a) for a in addresses]))
    assert versions.tolist() == [(getattr(a, "ipv4_mapped", None) or a).version for a in addresses]
    for address, of_class in zip(addresses, classes, strict=True):
        plain = getattr(address, "ipv4_mapped", None) or address
        if of_class == "private":
            assert plain.is_private
        if of_class == "multicast":
            assert plain.is_multicast
        if of_class == "public" and plain.version == 4:
            assert plain.is_global or plain in ipaddress.ip_network("192.88.99.0/24")


@pytest.mark.parametrize(
    ("cell", "of_class", "version"),
    [
        ("192.168.1.7", "private", 4), ("172.32.0.1", "public", 4), ("172.31.0.1", "private", 4),
        ("100.64.1.1", "shared", 4), ("127.0.0.1", "loopback", 4), ("255.255.255.255", "broadcast", 4),
        ("224.0.0.251", "multicast", 4), ("169.254.3.4", "link_local", 4), ("0.0.0.0", "unspecified", 4),
        ("203.0.113.9", "reserved", 4), ("2600::1", "public", 6), ("fd00::1", "private", 6), ("::1", "loopback", 6),
        ("ff02::1", "multicast", 6), ("fe80::1%eth0", "link_local", 6), ("::ffff:10.0.0.1", "private", 4),
        ("00:15:17:2c:e5:2d", "other", 0), ("-", "none", 0), (None, "none", 0),
    ],
)  # fmt: skip
def test_classes_by_the_registries(cell, of_class, version):
    classes, versions = address_classes(pl.Series([cell], dtype=pl.String))
    assert (classes, versions.tolist()) == ([of_class], [version])


def test_a_column_of_addresses_may_have_others_in_it():
    cells = ["10.0.0.1"] * 19
    assert looks_like_addresses(pl.Series([*cells, "00:15:17:2c:e5:2d", None, ""]), 0.9)
    assert not looks_like_addresses(pl.Series([*cells[:5], *["host"] * 5]), 0.9)
    assert not looks_like_addresses(pl.Series(["", None, "-"]), 0.9)
