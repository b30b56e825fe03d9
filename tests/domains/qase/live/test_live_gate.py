"""Live gates: held-out builds of the embedded service, and another service."""

import functools
import http.server
import json
import threading

import numpy as np
import pytest
import yaml

from rl_eval import diagnostics, domains, metrics
from rl_eval import run as runs
from rl_eval.domains.qase import DOMAIN, service
from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.domains.qase.environment.vector import QaseVector
from rl_eval.domains.qase.live import BLOCKED, FAILED, NOT_RUN, PASSED, CycleResult, session
from rl_eval.domains.qase.live.held_out_builds import held_out_builds
from rl_eval.domains.qase.live.vector import live_cycle_facts
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.rollout import play
from rl_eval.training import replay
from tests.domains.qase.live.live_steps import CASES, ROOT, SMALL, assert_same, levels, play_steps


@pytest.mark.parametrize("budget", [0.25, 1.0])
def test_a_live_gate_on_the_embedded_service_equals_its_record(budget):
    config = SMALL.model_copy(update={"budget": budget})
    count = domains.domain(config.name).episodes(config, "test")
    assert 2 <= count <= SMALL.held_out_cycles
    builds = held_out_builds(config, "test")
    recorded = QaseVector(config, n_envs=2, part="test", autoreset=False, record=builds.part)
    one, other = (
        play(vector, DOMAIN.baselines["failure_rate"](config), seeds=range(count), order=5)
        for vector in (domains.make(config, n_envs=3, part="test", autoreset=False), recorded)
    )
    shared_facts = [name for name in one.outcome if name not in ("bugs", "bugs_found")]
    assert_same(
        {name: one.outcome[name] for name in shared_facts}, {name: other.outcome[name] for name in shared_facts}
    )
    ends = one.outcome["cycle_end"]
    assert sorted(one.outcome["bugs"][ends]) == sorted(builds.bugs.sum(axis=1))
    result = metrics.compute("bugs_found", one, config)
    assert 0 < result <= 1
    assert (metrics.compute("failures_found", one, config) == 1) == (budget == 1)
    with pytest.raises(metrics.MetricUndefined, match="seeded bugs"):
        metrics.compute("bugs_found", other, config)


def test_what_a_live_cycle_is_worth_worked_by_hand():
    """Five cases; 0 fails in time, 3 failed before and did not run, 4 failed before and passes now."""
    status = np.array([FAILED, PASSED, PASSED, NOT_RUN, PASSED], np.int8)
    verdict = np.array([1, 0, 0, -1, 0], np.int8)
    cycle = CycleResult(status, verdict, np.ones(5), np.array([0b101, 0, 0, 0, 0]), status >= 0, ("",) * 5, 4.0, False)
    security = np.array([1, 1, 0, 0, 0], bool)
    order, failed = np.array([1, 0, 2, 4, 3]), np.array([0, 1, 0, 1, 1], bool)
    result = live_cycle_facts(cycle, order, failed, np.array([1, 0, 1, 1], bool), security)
    assert result == {
        "napfd": pytest.approx(1 / 3 - 2 / 15 + 1 / 30),  # p = 1/3, rank 2 of n = 5 with m = 3
        "failures": 3,
        "found": 1,
        "time_ranked": pytest.approx(0.5 / 3),  # one of two passing cases runs behind it
        "security_passed": 1,
        "bugs": 3,
        "bugs_found": 2,
    }


def test_another_service_is_trained_on_and_judged():
    with service.start(["B03", "B08", "B12"]) as running:
        config = Config(mode="live", base_url=running.base_url, warmup=2, keep=2, held_out_cycles=1, budget=0.5)
        vector = domains.make(config, n_envs=2, part="train")
        vector.reset(seed=0)
        outcome = play_steps(vector, levels(CASES, 2))
        ends = outcome["cycle_end"][:, 0]
        assert outcome["failures"][ends, 0] > 0
        assert outcome["bugs"][ends, 0] == 0, "who seeded none knows of none"
        gate = domains.make(config, n_envs=2, part="test", autoreset=False)
        count = domains.domain(config.name).episodes(config, "test")
        played = play(gate, DOMAIN.baselines["optimal"](config), seeds=range(count))
        # durations are measured, so how much fits into the budget depends on how busy the machine is
        assert metrics.compute("failures_found", played, config) > 0
        session.connect(config).close()


class Answers(http.server.BaseHTTPRequestHandler):
    """`/fine` answers 200, `/broken` 500, `/away` leads to another host."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        status = {"/fine": 200, "/broken": 500, "/away": 302}[self.path]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://elsewhere.invalid/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def other_service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.asked, server.daemon_threads = [], True
    threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def exported(path, actions):
    cases = [
        {"id": i + 1, "title": action, "steps": [{"position": 1, "action": action, "expected_result": "200"}]}
        for i, action in enumerate(actions)
    ]
    path.write_text(json.dumps({"suites": [{"id": 1, "title": "All", "cases": cases}]}))
    return str(path)


def test_where_a_redirect_leads_is_never_asked_and_its_case_never_passed(other_service, tmp_path):
    path = exported(
        tmp_path / "export.json", ["GET /fine", "GET /away", "GET /broken", "GET http://elsewhere.invalid/", "Look"]
    )
    url = f"http://127.0.0.1:{other_service.server_port}"
    config = Config(mode="live", data="qase", path=path, base_url=url, warmup=2, keep=2, held_out_cycles=1, min_cases=2)
    vector = domains.make(config, n_envs=1, part="train")
    vector.reset(seed=0)
    outcome = play_steps(vector, levels(3 + 2, 1))
    for cycle in vector._cycles:
        assert cycle.status.tolist() == [PASSED, BLOCKED, FAILED]
        assert cycle.verdict.tolist() == [0, -1, 1]
    assert outcome["failures"][2, 0] == outcome["found"][2, 0] == 1
    assert outcome["execution"][3:, 0].tolist() != outcome["execution"][:2, 0].tolist()
    assert vector._length[0] == 3, "the cycle to come again, after the kept one of the two cases with a verdict"
    assert {(host, path) for host, path in other_service.asked} == {
        (f"127.0.0.1:{other_service.server_port}", path) for path in ("/fine", "/away", "/broken")
    }
    gate = held_out_builds(config, "test").part
    assert gate.case.tolist() == [0, 2], "a case that came to no verdict has no place in what is judged"
    preprocessing = domains.domain("qase").preprocessing(config)
    assert [case["id"] for case in preprocessing["not_runnable"]] == [4, 5]
    assert {"is_muted", "type_security", "steps"} < set(preprocessing["constant"]) < set(FEATURES)


def test_a_service_that_a_run_names_is_asked_only_where_somebody_trusts_it(other_service, tmp_path):
    """Whoever made a run directory chose the address, and the cases that are sent there."""
    url = f"http://127.0.0.1:{other_service.server_port}"
    config = compose(ROOT / "conf", ["env=qase", "env.mode=live", f"env.base_url={url}"])
    runs.write_text(tmp_path / "config.yaml", yaml.safe_dump(config))
    runs.write_json(tmp_path / "run.json", {"status": "finished", "env": "qase", "agent": "ppo", "seed": 1})
    diagnosed = diagnostics.read(tmp_path)
    diagnostics.all_findings(diagnosed)
    assert any(f"env.base_url='{url}' is where requests go: add --trust" in message for message in diagnosed.missing)
    with pytest.raises(InputError, match="cannot be trained again to the same bytes"):
        replay(runs.read_run(tmp_path), tmp_path / "again", trust=True, on_step=lambda *_: None)
    assert other_service.asked == []


def test_own_cases_need_an_own_service(tmp_path):
    path = exported(tmp_path / "export.json", ["GET /fine", "GET /broken"])
    with pytest.raises(InputError, match=r"needs the service that these cases are for: give its address as env\.base_"):
        domains.make(Config(mode="live", data="qase", path=path), n_envs=1, part="train")
