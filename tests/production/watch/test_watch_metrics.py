"""The metrics of the loop, and the alerts and the dashboard that use them."""

import json
import re
from pathlib import Path

import yaml

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


def test_alerts_and_dashboard_name_metrics_that_exist(full):
    server = ProductionServer(full.config, open_queue(full.config.collect, full.folder), b"k" * 32)
    server.statistics.add_request("/select_action", 200, 0.01)
    server.followed = 1.0
    exported = prometheus_text(read_figures(full, 2e9)).decode() + server_text(server).decode()
    server.close()
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
