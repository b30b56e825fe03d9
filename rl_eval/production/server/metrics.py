"""`GET /metrics` of the production server; its labels name versions, actions and reasons, and nobody."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from rl_eval.production.server.production_server import REFUSALS, ProductionServer
from rl_eval.serving.statistics import BUCKETS

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "rl_eval_production"


class _Metrics(Collector):
    """The metrics of one server."""

    def __init__(self, server: ProductionServer):
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        server, counted = self._server, self._server.statistics
        requests = CounterMetricFamily(f"{PREFIX}_requests", "Answered requests.", labels=("path", "status"))
        for (path, status), count in sorted(counted.requests.items()):
            requests.add_metric((path, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(f"{PREFIX}_request_seconds", "From request to answer.", labels=("path",))
        for path, buckets in sorted(counted.durations.items()):
            bounds = [*map(str, BUCKETS), "+Inf"]
            totals = itertools.accumulate(buckets)
            durations.add_metric((path,), list(zip(bounds, totals, strict=True)), counted.seconds[path])
        yield durations
        decisions = CounterMetricFamily(f"{PREFIX}_decisions", "Decisions by version.", labels=("version",))
        errors = CounterMetricFamily(f"{PREFIX}_decision_errors", "Decisions that failed.", labels=("version",))
        seconds = CounterMetricFamily(f"{PREFIX}_deciding_seconds", "Time that deciding took.", labels=("version",))
        for version, counts in sorted(server.arm_counts.items()):
            decisions.add_metric((version,), counts.decisions)
            errors.add_metric((version,), counts.errors)
            seconds.add_metric((version,), counts.seconds)
        yield from (decisions, errors, seconds)
        held = "Time for which this server has held its share of its machine."
        yield CounterMetricFamily(
            f"{PREFIX}_machine_seconds", held, value=server.served.seconds * server.config.serve.share
        )
        actions = CounterMetricFamily(f"{PREFIX}_actions", "Decisions by action.", labels=("action",))
        for action, count in sorted(counted.actions.items()):
            actions.add_metric((action,), count)
        yield actions
        yield CounterMetricFamily(f"{PREFIX}_rewards", "Rewards that were taken.", value=counted.rewards)
        refused = CounterMetricFamily(
            f"{PREFIX}_refused_rewards", "Rewards that the server refused at once, by reason.", labels=("reason",)
        )
        for reason in REFUSALS:
            refused.add_metric((reason,), server.refusals[reason])
        yield refused
        failures = "Records that could not be put into the queue."
        yield CounterMetricFamily(f"{PREFIX}_not_recorded", failures, value=server.recorder.failures)
        recording = "1 where records reach the queue, 0 where they do not."
        yield GaugeMetricFamily(f"{PREFIX}_recording", recording, value=float(not server.recorder.failing))
        collected = CounterMetricFamily(
            f"{PREFIX}_collected", "Records and experience in the store, and refusals by reason.", labels=("what",)
        )
        for name, count in sorted(server.collected.items()):
            collected.add_metric((name,), max(0, count))
        yield collected
        if server.waiting is not None:
            yield GaugeMetricFamily(f"{PREFIX}_queue_messages", "Messages that wait.", value=server.waiting)
            age = 0.0 if server.oldest is None else max(0.0, time.time() - server.oldest)
            yield GaugeMetricFamily(f"{PREFIX}_queue_age_seconds", "Age of the oldest message.", value=age)
        arms = server.current
        if arms is not None:
            share = GaugeMetricFamily(f"{PREFIX}_share", "Share of the units by version.", labels=("version", "arm"))
            share.add_metric((arms.champion.version, "champion"), 1.0 - arms.share)
            if arms.challenger is not None:
                share.add_metric((arms.challenger.version, "shadow" if arms.shadow else "challenger"), arms.share)
            yield share
        if server.followed is not None:
            followed = "When the registry was last read."
            yield GaugeMetricFamily(f"{PREFIX}_followed_timestamp_seconds", followed, value=server.followed)
        yield GaugeMetricFamily(
            f"{PREFIX}_uptime_seconds", "Since the server started.", value=time.time() - counted.started
        )


def families(server: ProductionServer) -> Iterator[Metric]:
    """The metrics of a server, as they are now."""
    return _Metrics(server).collect()


def prometheus_text(server: ProductionServer) -> bytes:
    """The metrics of a server in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(server))
    return generate_latest(registry)
