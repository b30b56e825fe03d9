"""Two files of network flows with 11 % attacks, for `env.data=csv`: one made of NSL-KDD, one generated.

The generated one is like public flow data, and was made for no kind of model: numbers with heavy tails, many zeros or
few values, rates that are ratios of other columns, categories with a few frequent and many rare levels, and attacks
that differ from benign flows by combinations of fields rather than by single ones. Labels are drawn, so no model can be
right about every flow.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

ROWS, PREVALENCE = 80_000, 0.11
# The first five services are frequent; the others have a share of about 1 % and less.
SERVICES = ("http", "dns", "tls", "smtp", "ssh", *(f"service_{number:02d}" for number in range(45)))
STATES = ("FIN", "CON", "INT", "REQ", "RST", "ECO", "CLO", "no")
PROTOCOLS = ("tcp", "udp", "icmp", "arp", *(f"protocol_{number:02d}" for number in range(20)))
TTL = (29.0, 31.0, 60.0, 62.0, 64.0, 128.0, 252.0, 254.0)


def nsl_kdd_csv(folder: Path, target: Path) -> Path:
    """`KDDTrain+.txt` of a folder as a CSV file with a header: label `is_attack`, category `attack_type`."""
    from rl_eval.domains.threat.nsl_kdd import FEATURES, TRAIN

    with (folder / TRAIN).open(newline="") as source, target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*FEATURES, "attack_type", "is_attack"])
        for row in csv.reader(source):
            writer.writerow([*row[: len(FEATURES)], row[len(FEATURES)], int(row[len(FEATURES)] != "normal")])
    return target


def generated_csv(target: Path, rows: int = ROWS, seed: int = 0) -> Path:
    """Draw flows and write them; label `is_attack`."""
    columns = generate(rows, seed)
    texts = [
        column.tolist() if column.dtype.kind in "Ui" else [f"{value:.6g}" for value in column]
        for column in columns.values()
    ]
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*texts, strict=True))
    return target


def generate(rows: int, seed: int) -> dict[str, np.ndarray]:
    """The columns by name, each `[rows]`."""
    rng = np.random.default_rng(seed)

    def levels(names: tuple[str, ...], exponent: float) -> np.ndarray:
        weights = np.arange(1, len(names) + 1, dtype=float) ** -exponent
        return rng.choice(len(names), rows, p=weights / weights.sum())

    service, state, protocol = levels(SERVICES, 1.3), levels(STATES, 1.1), levels(PROTOCOLS, 1.8)
    activity = rng.standard_normal(rows)  # what sizes and durations have in common
    duration = np.exp(0.8 * activity + 1.8 * rng.standard_normal(rows)) * (rng.random(rows) > 0.2)
    packets_out = 1 + rng.poisson(np.exp(np.clip(1.5 + 0.8 * activity + 0.7 * rng.standard_normal(rows), -5, 9)))
    packets_in = rng.poisson(packets_out * np.exp(0.8 * rng.standard_normal(rows))) * (state != 2)
    bytes_out = packets_out * np.exp(4.5 + 0.9 * rng.standard_normal(rows) + 0.4 * (service % 3))
    bytes_in = packets_in * np.exp(5.0 + 1.2 * rng.standard_normal(rows))
    ttl = np.array(TTL)[(levels(tuple(map(str, TTL)), 0.5) + service) % len(TTL)]
    columns = {
        "duration": duration,
        "packets_out": packets_out,
        "packets_in": packets_in,
        "bytes_out": np.round(bytes_out),
        "bytes_in": np.round(bytes_in),
        "rate": (packets_out + packets_in) / np.maximum(duration, 1e-3),
        "load_out": 8 * bytes_out / np.maximum(duration, 1e-3),
        "size_out": np.round(bytes_out / packets_out),
        "size_in": np.round(bytes_in / np.maximum(packets_in, 1)),
        "ttl": ttl,
        "window": np.where(protocol == 0, rng.choice([0, 255, 1024, 8192], rows, p=[0.1, 0.6, 0.2, 0.1]), 0),
        "jitter": np.abs(rng.standard_cauchy(rows)) * np.exp(0.5 * activity),
        "gap": np.exp(2.0 * rng.standard_normal(rows)),
        "loss": rng.poisson(np.exp(0.9 * rng.standard_normal(rows) - 1.5)),
        "recent_same_source": 1 + rng.poisson(np.exp(1.0 + 1.1 * rng.standard_normal(rows))),
        "recent_same_service": 1 + rng.poisson(np.exp(1.4 + 1.0 * rng.standard_normal(rows))),
        "recent_same_port": 1 + rng.poisson(np.exp(0.6 + 1.0 * rng.standard_normal(rows))),
        "depth": rng.integers(0, 6, rows) * (rng.random(rows) < 0.4),
    }
    score = _score(columns, service, state, protocol, rng)
    # the highest scores are attacks, except for noise, which no model can know
    score = score / score.std() + 0.08 * rng.logistic(size=rows)
    attack = score > np.quantile(score, 1 - PREVALENCE)
    names = {"service": np.array(SERVICES)[service], "state": np.array(STATES)[state]}
    return {**columns, **names, "protocol": np.array(PROTOCOLS)[protocol], "is_attack": attack.astype(int)}


def _score(
    columns: dict[str, np.ndarray],
    service: np.ndarray,
    state: np.ndarray,
    protocol: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """How much a flow looks like an attack, `[rows]`: single fields, smooth products of two, and rules of several."""

    def rank(name: str) -> np.ndarray:
        """Centred ranks in [−1, 1]."""
        values = columns[name]
        ordered = np.sort(values)
        order = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
        return order / len(values) - 1

    score = 1.6 * rank("recent_same_source") + 1.2 * rank("jitter") + 1.0 * rank("loss") - 0.8 * rank("bytes_in")
    score += 0.8 * rng.standard_normal(len(SERVICES))[service] + 0.4 * rng.standard_normal(len(PROTOCOLS))[protocol]
    score += 0.9 * rank("size_out") * rank("recent_same_port") - 0.7 * rank("duration") * rank("gap")
    score += 0.6 * np.sin(3.0 * rank("rate")) + 0.7 * np.abs(rank("load_out")) * np.where(state < 2, 1, -1)
    rules = (
        (columns["ttl"] > 200) & (columns["window"] == 0) & (rank("bytes_out") < 0.2),
        (rank("recent_same_service") > 0.4) & (rank("size_in") < -0.3) & (service % 4 == 1),
        (columns["size_out"] > 120) & (columns["size_out"] < 160) & (state != 1),
        (columns["depth"] >= 3) & (rank("gap") > 0.3) & (rank("packets_out") > 0),
        (state == 2) & (rank("recent_same_source") > 0.2) & (columns["ttl"] < 63),
    )
    for rule in rules:
        score += 2.0 * rule
    return score
