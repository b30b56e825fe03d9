"""Generate the embedded data: flows from known families, so that the Bayes-optimal decision is known.

Given its family, the logarithms of a flow's numeric fields are jointly Gaussian (the fields themselves are
log-normal, so heavy-tailed) and its categorical fields are independent of them and of each other. The
posterior P(threat | flow) is then a ratio of finite sums, exact and vectorised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_eval.domains.threat.flow_table import Table
from rl_eval.errors import InputError, nearest
from rl_eval.seeding import part_key

THREAT_SHARE = 0.109
NUMERIC = ("duration_s", "bytes_out", "bytes_in", "packets", "gap_ms", "recent_flows", "recent_ports", "failed_share")
CATEGORICAL = {
    "protocol": ("tcp", "udp", "icmp"),
    "service": ("http", "dns", "smtp", "ssh", "ftp", "private"),
    "flag": ("SF", "S0", "REJ", "RSTO"),
}


@dataclass(frozen=True)
class Family:
    """One kind of traffic: its share within its class and the distribution of its fields.

    Attributes:
        mean: of the natural logarithms of the `NUMERIC` fields.
        protocol, service, flag: probabilities (in hundredths) of the `CATEGORICAL` levels.
    """

    name: str
    threat: bool
    share: float
    mean: tuple[float, ...]
    protocol: tuple[int, ...]
    service: tuple[int, ...]
    flag: tuple[int, ...]


# fmt: off
FAMILIES = (
    Family("web", False, 0.45, (0.5, 6.5, 9.0, 3.0, 3.5, 2.5, 0.7, -3.0),
           (94, 4, 2), (88, 2, 2, 2, 2, 4), (88, 3, 4, 5)),
    Family("name_lookup", False, 0.25, (-2.0, 4.0, 4.8, 0.7, 2.5, 3.0, 0.5, -3.2),
           (6, 90, 4), (3, 88, 2, 2, 2, 3), (91, 3, 4, 2)),
    Family("mail", False, 0.12, (1.2, 8.2, 5.8, 3.2, 4.0, 1.8, 0.6, -2.8),
           (95, 3, 2), (4, 2, 86, 2, 2, 4), (86, 4, 5, 5)),
    Family("backup", False, 0.10, (4.0, 11.0, 6.0, 6.5, 2.0, 1.2, 0.4, -3.0),
           (93, 5, 2), (4, 2, 2, 12, 60, 20), (90, 2, 3, 5)),
    Family("administration", False, 0.08, (4.5, 7.5, 8.0, 4.5, 5.0, 1.4, 0.9, -2.3),
           (94, 3, 3), (5, 2, 2, 79, 4, 8), (82, 4, 6, 8)),
    Family("port_scan", True, 0.38, (-1.5, 3.6, 2.5, 0.7, 1.0, 4.3, 3.2, -0.7),
           (72, 14, 14), (18, 6, 6, 8, 8, 54), (20, 22, 46, 12)),
    Family("flood", True, 0.30, (-1.0, 5.0, 2.2, 1.6, -0.5, 5.2, 0.8, -0.9),
           (70, 12, 18), (52, 10, 5, 5, 5, 23), (26, 56, 8, 10)),
    Family("password_guessing", True, 0.22, (1.4, 6.2, 6.2, 2.6, 3.0, 3.8, 0.7, -0.6),
           (95, 3, 2), (20, 2, 8, 46, 18, 6), (52, 6, 16, 26)),
    Family("exfiltration", True, 0.06, (3.6, 11.2, 5.4, 6.2, 3.2, 1.8, 1.2, -2.4),
           (74, 22, 4), (34, 24, 6, 14, 8, 14), (78, 4, 6, 12)),
    Family("beacon", True, 0.04, (0.2, 5.6, 5.2, 1.6, 6.4, 2.2, 0.7, -2.0),
           (62, 34, 4), (48, 28, 2, 2, 2, 18), (76, 6, 8, 10)),
)
# fmt: on
# Standard deviations of the logarithms, which determine how much the families overlap. They were chosen so
# that the best F1 of any classifier on these flows is .91.
DEVIATION = np.array([1.55, 1.45, 1.55, 1.1, 1.45, 1.35, 1.0, 1.45])
# Bytes and packets are correlated in all families.
CORRELATION = np.eye(len(NUMERIC))
for _a, _b, _r in ((1, 3, 0.6), (2, 3, 0.4), (0, 3, 0.3)):
    CORRELATION[_a, _b] = CORRELATION[_b, _a] = _r

_MEANS = np.array([family.mean for family in FAMILIES])  # [F, C]
_CHOLESKY = np.linalg.cholesky(CORRELATION) * DEVIATION[:, None]  # [C, C]
_WHITEN = np.linalg.inv(_CHOLESKY)
_LEVELS = {name: np.array([getattr(f, name) for f in FAMILIES]) / 100.0 for name in CATEGORICAL}  # [F, K]
_THREAT = np.array([family.threat for family in FAMILIES])


def priors(threat_share: float, mix: Mapping[str, float] | None = None) -> np.ndarray:
    """Probability of each family, `[F]`.

    Args:
        threat_share: of all flows.
        mix: family -> weight within its class; those that are not named do not occur. None: as usual.

    Raises:
        InputError: a family that does not exist, or a class without any.
    """
    shares = np.array([family.share for family in FAMILIES])
    if mix is not None:
        names = [family.name for family in FAMILIES]
        if unknown := sorted(set(mix) - set(names)):
            hint = nearest(unknown[0], names)
            raise InputError(f"env.mix: there is no family {unknown[0]!r}: {hint}allowed are {', '.join(names)}")
        shares = np.array([float(mix.get(name, 0.0)) for name in names])
        for own, what in ((_THREAT, "threats"), (~_THREAT, "benign flows")):
            if not shares[own].sum():
                raise InputError(f"env.mix names no family of {what}, and both classes are needed: add one")
            shares[own] /= shares[own].sum()
    return shares * np.where(_THREAT, threat_share, 1.0 - threat_share)


def generate(flows: int, threat_share: float, seed: int, part: str, mix: Mapping[str, float] | None = None) -> Table:
    """Draw a part; the parts of one seed are independent of each other. `mix` is that of `priors`."""
    sequence = np.random.SeedSequence([seed, *part_key(part).encode()])
    rng = np.random.Generator(np.random.PCG64(sequence))
    family = rng.choice(len(FAMILIES), size=flows, p=priors(threat_share, mix))
    numeric = np.exp(_MEANS[family] + rng.standard_normal((flows, len(NUMERIC))) @ _CHOLESKY.T)
    codes = np.empty((flows, len(CATEGORICAL)), np.int32)
    for column, name in enumerate(CATEGORICAL):
        edges = np.cumsum(_LEVELS[name], axis=1)[:, :-1]
        codes[:, column] = (rng.random(flows)[:, None] > edges[family]).sum(axis=1)
    return Table(
        numeric_names=NUMERIC,
        numeric=numeric,
        categorical_names=tuple(CATEGORICAL),
        levels=tuple(CATEGORICAL.values()),
        codes=codes,
        label=_THREAT[family].astype(np.int8),
        category_names=tuple(f.name for f in FAMILIES),
        category=family.astype(np.int16),
    )


def posterior(
    numeric: np.ndarray,
    codes: np.ndarray,
    threat_share: float,
    levels: Sequence[Sequence[str]] = tuple(CATEGORICAL.values()),
    mix: Mapping[str, float] | None = None,
) -> np.ndarray:
    """P(threat | flow), `[R]`, from the fields `[R, C]` and the level codes `[R, K]`.

    Args:
        levels: the levels that the codes index, for each categorical field; code -1 is any other level.
        mix: that of `priors`.
    """
    # The Jacobian of the logarithm and the common normalising constant cancel in the ratio.
    white = np.log(numeric) @ _WHITEN.T  # [R, C]
    centres = _MEANS @ _WHITEN.T  # [F, C]
    with np.errstate(divide="ignore"):  # the logarithm of a family that does not occur
        prior = np.log(priors(threat_share, mix))
    joint = prior - 0.5 * (centres**2).sum(axis=1) + white @ centres.T
    for column, (name, field_levels) in enumerate(zip(CATEGORICAL, levels, strict=True)):
        of_level = _LEVELS[name][:, [CATEGORICAL[name].index(level) for level in field_levels]].T  # [K, F]
        other = np.maximum(1.0 - of_level.sum(axis=0), 1e-12)
        joint += np.log(np.vstack([of_level, other]))[codes[:, column]]
    joint -= joint.max(axis=1, keepdims=True)
    weight = np.exp(joint)
    return weight[:, _THREAT].sum(axis=1) / weight.sum(axis=1)
