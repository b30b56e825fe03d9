"""The metrics of the loop, and the alerts and the dashboard that use them."""

import json
import re
from pathlib import Path

import pytest
import yaml

from rl_eval.production import heartbeats
from rl_eval.production.queues import open_queue
from rl_eval.production.server.metrics import prometheus_text as server_text
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


def test_metrics_are_figures(client):
    text = client.get("/metrics").text
    for line in (
        'rl_eval_loop_version{alias="challenger"} 2.0',
        "rl_eval_loop_rollout_share 0.1",
        "rl_eval_loop_rollout_units 40.0",
        "rl_eval_loop_rollout_difference 0.025",
        'rl_eval_loop_rollout_state{state="canary"} 1.0',
        "rl_eval_loop_drifted_features 1.0",
        'rl_eval_loop_reviews{state="waiting"} 2.0',
        'rl_eval_loop_training_cost{currency="USD"} 0.5',
        'rl_eval_loop_latest_trainings{state="done"} 1.0',
    ):
        assert line in text.splitlines(), line


def exported_by(parts):
    """The metrics of a server and of the loop as text."""
    server = ProductionServer(parts.config, open_queue(parts.config.collect, parts.folder), b"k" * 32)
    server.statistics.add_request("/select_action", 200, 0.01)
    server.followed = 1.0
    text = prometheus_text(read_figures(parts, 2e9)).decode() + server_text(server).decode()
    server.close()
    return text


def alert(name):
    """The expression of an alert."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    return next(rule["expr"] for group in groups for rule in group["rules"] if rule["alert"] == name)


@pytest.mark.parametrize(("name", "kind"), [("RlEvalNoLoop", "loop"), ("RlEvalNoServer", "server"),
                                            ("RlEvalNoCollector", "collector")])  # fmt: skip
def test_an_alert_fires_two_minutes_after_the_last_sign_of_life(full, name, kind):
    metric, limit = alert(name).split(" > ")
    assert metric == f'min(rl_eval_loop_alive_seconds{{process="{kind}"}})'
    assert metric[4:-1] in exported_by(full)
    assert float(limit) == 120 > heartbeats.GONE_S > 2 * heartbeats.BEAT_S


def test_the_alert_on_reviews_follows_the_size_of_its_queue(full):
    waiting, limit = alert("RlEvalReviewWaits").split(" > ")
    metrics = exported_by(full).splitlines()
    assert f"rl_eval_loop_most_reviews {float(full.config.loop.most_reviews)}" in metrics
    assert waiting == 'max(rl_eval_loop_reviews{state="waiting"})'
    share = re.fullmatch(r"(\S+) \* max\(rl_eval_loop_most_reviews\)", limit)[1]
    assert 0.5 < float(share) < 1
    text = (DEPLOY / "prometheus" / "rules.yml").read_text()
    assert "review.error" not in text  # more permitted errors are no answer to a long queue


def test_alerts_fire_where_nothing_is_scraped(full):
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    pattern = re.fullmatch(r'up\{job=~"(.*)"\} == 0', alert("RlEvalNotScraped"))[1]
    assert re.fullmatch(pattern, job["job_name"])
    metric = re.fullmatch(r"absent\((.*)\)", alert("RlEvalWatchAbsent"))[1]
    assert f"{metric}{{" in prometheus_text(read_figures(full, 2e9)).decode()
    full.store.database.engine.dispose()
    full.store.database.file.unlink()
    full.store.database.file.mkdir()
    away = read_figures(full, 2e9)
    assert "store" in away.faults
    assert f"{metric}{{" in prometheus_text(away).decode()  # it is there whatever is away


def test_the_alert_on_refusals_counts_every_metric_of_refusals(full):
    """Of the filter and of servers, on both sides: a share of all that was sent."""
    refusals = set(re.findall(r"^# TYPE (\S*refused\S*) counter", exported_by(full), re.MULTILINE))
    assert refusals == {"rl_eval_loop_refused_total", "rl_eval_production_refused_rewards_total"}
    refused, sent = alert("RlEvalRefused").split(">")
    assert set(re.findall(r"rl_eval\w+", refused)) == refusals
    at_once = "rl_eval_production_refused_rewards_total"
    assert set(re.findall(r"rl_eval\w+", sent)) == {"rl_eval_loop_collected_total", at_once}
    for side in (refused, sent):  # a sum with a part that nobody exports has no value
        assert side.count("or vector(0)") == side.count("sum(") == 2


def test_alerts_and_dashboard_name_metrics_that_exist(full):
    exported = exported_by(full)
    names = set(re.findall(r"^(rl_eval\w+)", exported, re.MULTILINE))
    names |= set(re.findall(r"^# TYPE (\S+)", exported, re.MULTILINE))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    alerts = [rule for group in rules for rule in group["rules"]]
    asked = [rule["expr"] for rule in alerts]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    wanted = {name for expression in asked for name in re.findall(r"rl_eval\w+", expression)}
    assert len(wanted) > 15
    assert wanted - names == set()
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "action"} <= rule["annotations"].keys()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
