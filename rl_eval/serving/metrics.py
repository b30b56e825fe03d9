"""`GET /metrics`: the counts of the server as Prometheus text, collected when they are asked for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rl_eval.serving.server import PolicyServer
from rl_eval.serving.statistics import BUCKETS

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "rl_eval"


class _Metrics(Collector):
    """The metrics of one server."""

    def __init__(self, server: PolicyServer):
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        server, counted = self._server, self._server.statistics
        labels = {"version": server.policy.version, "policy": server.source.name, "env": server.policy.spaces.env}
        yield InfoMetricFamily(f"{PREFIX}_policy", "What is served.", value=labels)
        requests = CounterMetricFamily(f"{PREFIX}_requests", "Answered requests.", labels=("path", "status"))
        for (path, status), count in sorted(counted.requests.items()):
            requests.add_metric((path, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(f"{PREFIX}_request_seconds", "From request to answer.", labels=("path",))
        for path, buckets in sorted(counted.durations.items()):
            totals = itertools.accumulate(buckets)
            bounds = [*map(str, BUCKETS), "+Inf"]
            durations.add_metric((path,), list(zip(bounds, totals, strict=True)), counted.seconds[path])
        yield durations
        actions = CounterMetricFamily(f"{PREFIX}_decisions", "Decisions by action.", labels=("action",))
        for action, count in sorted(counted.actions.items()):
            actions.add_metric((action,), count)
        yield actions
        rewards = CounterMetricFamily(f"{PREFIX}_experiences", "Experiences that were stored.", value=counted.rewards)
        yield rewards
        history = server.history
        gauges = {
            "reward_sum": ("Sum of their rewards.", counted.reward_sum),
            "waiting_transitions": ("Transitions that no update has used.", server.store.waiting()),
            "updates": ("Updates since the folder began.", server.updates),
            "loads": ("Loads since the folder began.", history.loads),
            "uptime_seconds": ("Since the server started.", time.time() - counted.started),
            "mean_return": ("Of the latest 100 episodes of units.", server.store.counts().mean_return),
            "last_update_timestamp_seconds": ("When it ended.", history.last_update),
            "last_update_duration_seconds": ("How long it took.", history.last_update_s),
            "replay_fill": ("Share of the replay buffer that is filled.", server.buffer_fill),
        }
        for name, (meaning, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", meaning, value=value)
        losses = GaugeMetricFamily(f"{PREFIX}_loss", "Metrics of the latest update.", labels=("name",))
        for name, value in sorted(history.losses.items()):
            losses.add_metric((name,), value)
        yield losses


def prometheus_text(server: PolicyServer) -> bytes:
    """The metrics of a server in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(server))
    return generate_latest(registry)
