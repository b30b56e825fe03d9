"""The metrics of the loop as Prometheus text; those of a policy server are its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rl_eval.production.review_queue import LEFT
from rl_eval.production.states import STATES
from rl_eval.production.watch.figures import PARTS, Figures
from rl_eval.serving.metrics import PREFIX

LOOP = f"{PREFIX}_loop"
COLLECTED = ("decisions", "rewards", "accepted", "duplicates")


class _Metrics(Collector):
    def __init__(self, figures: Figures):
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Every metric of what could be read."""
        figures = self._figures
        up = GaugeMetricFamily(f"{LOOP}_part_up", "Whether a part works: read, with room.", labels=("part",))
        for part in PARTS:
            up.add_metric((part,), float(part not in figures.faults and part not in figures.full))
        yield up
        free = GaugeMetricFamily(f"{LOOP}_disk_free_bytes", "Room on the disk of an embedded part.", labels=("part",))
        size = GaugeMetricFamily(f"{LOOP}_disk_size_bytes", "Size of the disk of an embedded part.", labels=("part",))
        for part, disk in figures.disks.items():
            free.add_metric((part,), disk.free)
            size.add_metric((part,), disk.size)
        yield from (free, size)
        if "store" not in figures.faults:
            yield from _of_store(figures)
        if "registry" not in figures.faults:
            yield from _of_registry(figures)
        gauges = {
            "queue_messages": ("Messages that nobody has acknowledged.", figures.queue_messages),
            "queue_age_seconds": ("How long the oldest of them waits.", figures.queue_age),
            "audit_lines": ("Lines of the audit log.", figures.audit_lines),
        }
        for name, (meaning, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"{LOOP}_{name}", meaning, value=value)


def _of_store(figures: Figures) -> Iterator[Metric]:
    processes = GaugeMetricFamily(f"{LOOP}_processes", "Processes that are alive, by kind.", labels=("process",))
    meaning = "Since the latest sign of life of a kind of process; infinite where there was none."
    seconds = GaugeMetricFamily(f"{LOOP}_alive_seconds", meaning, labels=("process",))
    for process, alive in figures.alive.items():
        processes.add_metric((process,), alive.count)
        seconds.add_metric((process,), math.inf if alive.age is None else alive.age)
    yield from (processes, seconds)
    meaning = "Servers that decide without recording."
    yield GaugeMetricFamily(f"{LOOP}_not_recording_servers", meaning, value=len(figures.not_recording))
    meaning = "1 where the clock is later than the last note of a process by more than the retention."
    yield GaugeMetricFamily(f"{LOOP}_clock_in_doubt", meaning, value=float(bool(figures.clock)))
    collected = CounterMetricFamily(f"{LOOP}_collected", "Records that were stored, by kind.", labels=("kind",))
    for kind in COLLECTED:
        collected.add_metric((kind,), figures.counts.get(kind, 0))
    yield collected
    refused = CounterMetricFamily(f"{LOOP}_refused", "Experience that was refused, by reason.", labels=("reason",))
    for reason, count in sorted(figures.refused.items()):
        refused.add_metric((reason,), count)
    yield refused
    yield GaugeMetricFamily(
        f"{LOOP}_waiting_experiences", "Accepted experience that no training has.", value=figures.waiting or 0
    )
    features = figures.drift.get("features", [])
    yield GaugeMetricFamily(f"{LOOP}_drifted_features", "Features that have drifted.", value=len(features))
    distances = GaugeMetricFamily(f"{LOOP}_drift_distance", "Kolmogorov-Smirnov distance.", labels=("feature",))
    for feature in features:
        distances.add_metric((str(feature["name"]),), feature["distance"])
    yield distances
    state = GaugeMetricFamily(f"{LOOP}_rollout_state", "1 for the state of the roll-out.", labels=("state",))
    for one in STATES:
        state.add_metric((one,), float(figures.rollout.state == one))
    yield state
    yield GaugeMetricFamily(
        f"{LOOP}_rollout_share", "Share of the units that the challenger has.", value=figures.rollout.share
    )
    yield GaugeMetricFamily(
        f"{LOOP}_rollout_step_seconds", "How long this step was watched.", value=figures.rollout.elapsed
    )
    yield CounterMetricFamily(
        f"{LOOP}_outside_bounds", "Rewards outside `rollout.low` and `rollout.high`.", value=figures.outside_bounds
    )
    last = figures.evidence[-1] if figures.evidence else {}
    yield GaugeMetricFamily(f"{LOOP}_rollout_units", "Units that count in this step.", value=last.get("units") or 0)
    if last.get("difference") is not None:
        meaning = "Mean reward, challenger minus champion."
        yield GaugeMetricFamily(f"{LOOP}_rollout_difference", meaning, value=last["difference"])
    trainings = GaugeMetricFamily(f"{LOOP}_latest_trainings", "Of the latest trainings, by state.", labels=("state",))
    for name, count in Counter(training.state for training in figures.trainings).items():
        trainings.add_metric((name,), count)
    yield trainings
    if figures.trainings:
        meaning = "When the latest training began."
        value = figures.trainings[0].started
        yield GaugeMetricFamily(f"{LOOP}_last_training_timestamp_seconds", meaning, value=value)
    if figures.thousand is not None:
        meaning = "Machine time that 1,000 decisions take, of all servers since the store began."
        value = figures.thousand.machine_s
        yield GaugeMetricFamily(f"{LOOP}_machine_seconds_per_thousand_decisions", meaning, value=value)
        if figures.thousand.money is not None:
            meaning = "What 1,000 decisions cost by the price list."
            money = GaugeMetricFamily(f"{LOOP}_cost_per_thousand_decisions", meaning, labels=("currency",))
            money.add_metric((str(figures.thousand.currency),), figures.thousand.money)
            yield money
    reviews = GaugeMetricFamily(f"{LOOP}_reviews", "Decisions that a person was asked about.", labels=("state",))
    for name in ("waiting", "decided"):
        reviews.add_metric((name,), figures.reviews.get(name, 0))
    reviews.add_metric(("left",), figures.counts.get(LEFT, 0))
    yield reviews
    meaning = "How many may wait for a person: newer ones replace the oldest."
    yield GaugeMetricFamily(f"{LOOP}_most_reviews", meaning, value=figures.most_reviews)


def _of_registry(figures: Figures) -> Iterator[Metric]:
    aliases = GaugeMetricFamily(f"{LOOP}_version", "Number of the version of an alias.", labels=("alias",))
    for alias, number in sorted(figures.aliases.items()):
        aliases.add_metric((alias,), number)
    yield aliases
    cost = GaugeMetricFamily(f"{LOOP}_training_cost", "Of the shown versions together.", labels=("currency",))
    money: Counter[str] = Counter()
    for version in figures.versions:
        if isinstance(amount := version.cost.get("money"), int | float):
            money[str(version.cost.get("currency", ""))] += amount  # type: ignore[assignment]
    for currency, amount in money.items():
        cost.add_metric((currency,), amount)
    yield cost


def families(figures: Figures) -> Iterator[Metric]:
    """The metrics of what was read."""
    return _Metrics(figures).collect()


def prometheus_text(figures: Figures) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(figures))
    return generate_latest(registry)
