"""Live cycles in training and in a gate: cases run in the chosen order, and their verdicts become known after."""

import functools
import http.server
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval import config as configs
from rl_eval import diagnostics, domains, metrics
from rl_eval import run as runs
from rl_eval.domains.qase import DOMAIN, service
from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.domains.qase.environment.vector import QaseVector
from rl_eval.domains.qase.live import BLOCKED, FAILED, NOT_RUN, PASSED, CycleResult, bug_ids, session
from rl_eval.domains.qase.live.held_out_builds import held_out_builds
from rl_eval.domains.qase.live.vector import LiveTraining, live_cycle_facts
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.rollout import play
from rl_eval.tracking import open_tracker
from rl_eval.training import replay, train
from tests.run_bytes import content

ROOT = Path(__file__).resolve().parents[4]
SMALL = Config(mode="live", warmup=2, keep=4, held_out_cycles=3)
CASES = len(session.runnable_cases(SMALL).project.cases)


def levels(steps, n_envs, seed=0):
    return np.random.default_rng(seed).integers(0, LEVELS, (steps, n_envs))


def play_steps(vector, actions):
    """What every step showed and told, name -> [T, N], the next observations among it."""
    rows = []
    for step_actions in actions:
        obs, _, _, _, infos = vector.step(step_actions)
        rows.append({**infos["outcome"], "obs": obs})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture
def recorded_cycles(monkeypatch):
    """The orders, the bugs and the outcomes of the cycles that run from now on, in the order of their running."""
    recorded, real = [], session.run_cycle

    def spied(runner, shop, cases, order, budget_ms=None, bugs=None):
        recorded.append((list(order), bugs, real(runner, shop, cases, order, budget_ms, bugs)))
        return recorded[-1][2]

    monkeypatch.setattr(session, "run_cycle", spied)
    return recorded


# -- training, on the embedded service ---------------------------------------------------------------------------------


def test_what_the_first_copy_orders_is_what_runs_and_what_the_others_then_play(recorded_cycles):
    vector = LiveTraining(SMALL.model_copy(update={"keep": 1}), n_envs=3)
    obs, _ = vector.reset(seed=0)
    recorded_cycles.clear()  # the warm-up
    observed_, replayed = [], []
    for step_actions in levels(CASES, 3):
        case = int(vector._record.case[vector._rows[0, vector._time[0]]])
        observed_.append((case, int(step_actions[0])))
        replayed.append((case, obs[0]))
        last = obs
        obs, reward, done, _, infos = vector.step(step_actions)
        assert infos["outcome"]["pairs"][0] == reward[0] == 0
        assert infos["outcome"]["failure_share"][0] == 0
        assert len(recorded_cycles) == done[0]
    assert done[0]
    np.testing.assert_array_equal(infos["final_obs"][0], last[0])
    ((order, bugs, cycle),) = recorded_cycles
    by_level = sorted(observed_, key=lambda pair: -pair[1])  # ties as they were shown
    assert order == [case for case, _ in by_level]
    assert bugs == bug_ids(session.part_schedule(SMALL, "train", 9)[SMALL.warmup])
    outcome = infos["outcome"]
    assert outcome["failures"][0] == outcome["found"][0] == (cycle.verdict == 1).sum() > 0
    assert outcome["bugs"][0] == len(bugs) >= outcome["bugs_found"][0] > 0

    # only the newest cycle is kept, so it is what the others begin next
    features = dict(replayed)
    playing = done & (np.arange(3) > 0)
    verdicts = {}
    for step_actions in levels(2 * CASES, 3, seed=1):
        case = vector._record.case[vector._rows[np.arange(3), vector._time]]
        for copy in np.flatnonzero(playing):
            np.testing.assert_array_equal(obs[copy], features[int(case[copy])])
        obs, _, done, _, infos = vector.step(step_actions)
        if len(recorded_cycles) > 1:
            break
        for copy in np.flatnonzero(playing):
            verdicts.setdefault(copy, {})[int(case[copy])] = int(infos["outcome"]["verdict"][copy])
        playing &= ~done
    assert len(verdicts) == 2
    for result in verdicts.values():
        assert all(cycle.verdict[case] == verdict for case, verdict in result.items())
        assert 1 in result.values()


def test_a_state_taken_goes_on_to_the_bit_without_another_warm_up(recorded_cycles):
    one, other = LiveTraining(SMALL, n_envs=3), LiveTraining(SMALL, n_envs=3)
    one.reset(seed=7)
    play_steps(one, levels(CASES + 40, 3))
    state = runs.split_state(one.get_state())
    recorded_cycles.clear()
    other.set_state(runs.join_state(state[0], json.loads(json.dumps(state[1]))))
    assert recorded_cycles == []
    actions = levels(CASES, 3, seed=1)
    assert_same(play_steps(one, actions), play_steps(other, actions))
    assert len(recorded_cycles) == 2
    assert recorded_cycles[0][0] == recorded_cycles[1][0]
    assert_same(one.get_state()["buffer"], other.get_state()["buffer"])
    with pytest.raises(ValueError, match="shape"):
        LiveTraining(SMALL.model_copy(update={"keep": 5}), n_envs=3).set_state(one.get_state())


def test_a_service_that_dies_in_a_cycle_is_one_sentence_and_another_goes_on_to_the_bit(monkeypatch):
    before, after = levels(CASES - 1, 2), levels(30, 2, seed=4)
    unharmed = LiveTraining(SMALL, n_envs=2)
    unharmed.reset(seed=3)
    play_steps(unharmed, before)
    monkeypatch.setattr(session, "_sessions", {})  # what starts now is to die
    vector = LiveTraining(SMALL, n_envs=2)
    vector.reset(seed=3)
    play_steps(vector, before)
    state = vector.get_state()
    (connection,) = session._sessions.values()
    monkeypatch.setattr(connection, "service", RunnerDiesAfter(connection.service, 9))
    with pytest.raises(InputError, match=r"does not answer: start it; .* resume=<the run>`$") as error:
        vector.step(after[0])
    assert "\n" not in str(error.value)
    again = LiveTraining(SMALL, n_envs=2)
    again.set_state(state)
    (another,) = session._sessions.values()
    assert another is not connection
    assert_same(play_steps(unharmed, after), play_steps(again, after))
    another.close()


class RunnerDiesAfter:
    """The control of the embedded service, which is killed before the n-th case."""

    def __init__(self, running, count):
        self._running, self._left = running, count
        self.alive, self.switch, self.close = running.alive, running.switch, running.close

    def reset(self):
        self._left -= 1
        if self._left < 0:
            os.kill(self._running._process.pid, signal.SIGKILL)
            self._running._process.wait()
        self._running.reset()


# -- training, on cycles that are made up ------------------------------------------------------------------------------


class Pretended:
    """Cycles that end by chance, by the seed and the number of the cycle, whatever their order."""

    def __init__(self, fails=0.1, blocks=0.1, seed=0, changed=None):
        self.fails, self.blocks, self.seed, self.changed = fails, blocks, seed, changed
        self.count, self.budgets = 0, []

    def run(self, order, build, budget_ms=np.inf):
        rng = np.random.default_rng([self.seed, self.count])
        if self.changed == self.count:
            rng = np.random.default_rng(99)
        self.count += 1
        self.budgets.append(budget_ms)
        kind = rng.random(CASES)
        status = np.where(kind < self.blocks, BLOCKED, np.where(kind > 1 - self.fails, FAILED, PASSED)).astype(np.int8)
        duration = rng.integers(1, 1000, CASES).astype(float)
        spent = np.empty(CASES)
        spent[order] = np.cumsum(duration[order])
        ran = spent <= budget_ms
        status[~ran] = NOT_RUN
        verdict = np.where(status == FAILED, 1, np.where(status == PASSED, 0, -1)).astype(np.int8)
        reasons = tuple("Too late." if s == BLOCKED else "" for s in status)
        return CycleResult(status, verdict, duration * ran, np.zeros(CASES, np.int64), ran, reasons, 0.0, False)

    def run_all_cases(self, build, name):
        return self.run(np.arange(CASES), build)


@pytest.fixture
def pretend(monkeypatch):
    """A live training on cycles of chance, and what makes them up."""

    def make(n_envs, *, pretended=None, **config):
        pretended = pretended or Pretended()
        monkeypatch.setattr("rl_eval.domains.qase.live.vector.connect", lambda _: pretended)
        vector = LiveTraining(SMALL.model_copy(update=config), n_envs=n_envs)
        return vector, pretended

    return make


@pytest.mark.parametrize(("n_envs", "keep", "fails"), [(1, 1, 0.1), (1, 4, 0.1), (5, 1, 0.01), (5, 2, 0.005)])
def test_what_a_copy_plays_stays_as_it_was_until_its_end(pretend, n_envs, keep, fails):
    """Also where most cycles have no failure, so that there is nothing to learn from but what came last."""
    vector, pretended = pretend(n_envs, pretended=Pretended(blocks=0.3), keep=keep)
    vector.reset(seed=0)
    pretended.fails = fails
    record, last = vector._record, vector._slots
    stored = [None] * n_envs
    live, failing, idle = 0, 0, 0
    for step_actions in levels(9 * CASES, n_envs):
        for copy in range(n_envs):
            rows = vector._rows[copy, : vector._length[copy]]
            if vector._time[copy] == 0:
                stored[copy] = [getattr(record, name)[rows].copy() for name in ("features", "verdict", "duration_ms")]
                failing += stored[copy][1].any()
                idle += vector._episode[copy] != last and not stored[copy][1].any()
                assert n_envs == 1 or (vector._episode[copy] == last) == (copy == 0)
            for before, name in zip(stored[copy], ("features", "verdict", "duration_ms"), strict=True):
                np.testing.assert_array_equal(before, getattr(record, name)[rows])
        before = vector._episode.copy()
        obs, _, done, _, _ = vector.step(step_actions)
        live += done[0] and before[0] == last
        assert np.isfinite(obs).all()
        assert n_envs > 1 or not done[0] or (before[0] == last) != (vector._episode[0] == last), "in turn"
    assert pretended.count == SMALL.warmup + live
    assert failing
    assert bool(idle) == (fails < 0.1)


def test_kept_cycles_are_those_of_the_newest_with_a_failure(pretend):
    vector, pretended = pretend(8, keep=3)
    vector.reset(seed=0)
    for step_actions in levels(6 * CASES, 8):
        vector.step(step_actions)
        newest = {(pretended.count - 1 - back) % vector._slots for back in range(3)}
        begun = vector._episode[1:][vector._time[1:] == 0]
        assert set(begun.tolist()) <= newest


def test_observations_do_not_depend_on_results_of_the_next_cycle(pretend):
    recorded = []
    for changed in (None, SMALL.warmup):  # the first that the agent orders
        vector, _ = pretend(2, pretended=Pretended(changed=changed))
        first, _ = vector.reset(seed=0)
        steps = play_steps(vector, levels(CASES + 20, 2))
        recorded.append((np.concatenate([first[None], steps["obs"]]), steps["verdict"], vector._budget_ms.copy()))
    (one, told_one, _), (other, told_other, _) = recorded
    np.testing.assert_array_equal(one[:CASES, 0], other[:CASES, 0])
    np.testing.assert_array_equal(told_one[:CASES, 0], 0)
    np.testing.assert_array_equal(told_other[:CASES, 0], 0)
    assert (one[CASES:, 0] != other[CASES:, 0]).any()


@pytest.mark.parametrize(("budget", "limit"), [(None, np.inf), ("20s", 20_000.0), (0.25, None)])
def test_a_budget_is_a_time_or_a_share_of_the_time_that_all_cases_are_expected_to_take(pretend, budget, limit):
    vector, pretended = pretend(2, budget=budget)
    vector.reset(seed=0)
    assert pretended.budgets == [np.inf] * SMALL.warmup, "the warm-up is whole"
    mean = np.mean([cycle.duration_ms for cycle in vector._cycles], axis=0)  # every case ran in each
    play_steps(vector, levels(CASES, 2))
    assert pretended.budgets[-1] == pytest.approx(0.25 * mean.sum() if limit is None else limit)
    position = (pretended.count - 1) % vector._slots
    assert vector._record.lengths[position] == (vector._cycles[-1].verdict >= 0).sum(), "what came to a verdict is kept"
    assert (vector._record.lengths[position] < CASES / 2) == (budget is not None)


def test_where_nothing_fails_there_is_nothing_to_learn(pretend):
    vector, _ = pretend(2, pretended=Pretended(fails=0.0, blocks=0.0))
    with pytest.raises(InputError, match="no case fails in the 2 cycles of the warm-up, so there is nothing"):
        vector.reset(seed=0)
    vector, _ = pretend(2, pretended=Pretended(blocks=1.0))
    with pytest.raises(InputError, match=rf"\({CASES} of {CASES} cases were blocked in the last cycle: Too late\), so"):
        vector.reset(seed=0)


def test_a_cycle_in_which_every_case_is_blocked_is_worth_nothing_and_training_goes_on(pretend):
    vector, pretended = pretend(2)
    vector.reset(seed=0)
    pretended.blocks = 1.0
    outcome = play_steps(vector, levels(3 * CASES, 2))
    ends = outcome["cycle_end"][:, 0]
    assert ends.sum() == 3
    assert (outcome["failures"][ends, 0] == 0).all()
    assert np.isnan(outcome["apfd"][ends, 0]).all()
    assert pretended.count == SMALL.warmup + 3


# -- held-out builds ---------------------------------------------------------------------------------------------------


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


# -- another service -------------------------------------------------------------------------------------------------


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


# -- a whole run -------------------------------------------------------------------------------------------------------

RUN = [
    "env=qase", "env.mode=live", "env.warmup=3", "env.keep=4", "env.held_out_cycles=4", "total_steps=2048",
    "agent.n_envs=4", "agent.n_steps=16", "agent.batch_size=32", "agent.n_epochs=1", "agent.network={widths: [16]}",
    "log_every=128", "resume_every=512", "checkpoint_every=512", "validation.every=1024", "validation.episodes=2",
]  # fmt: skip


def learn(directory, resume=False):
    config = configs.load(runs.read_run(directory).config if resume else compose(ROOT / "conf", RUN))
    directory.mkdir(exist_ok=True)
    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    return train(config, directory, tracker=tracker, resume=resume)


@pytest.mark.verify
def test_a_run_whose_service_was_killed_is_resumed_to_the_bytes_of_one_whose_service_was_not(tmp_path, monkeypatch):
    assert learn(tmp_path / "whole").finished
    monkeypatch.setattr(session, "_sessions", {})
    calls, real = [], session.run_cycle

    def deadly(runner, shop, *rest):
        calls.append(runner)
        dies = learning and len(calls) == learning[0] + 3 and len(learning) == 1
        return real(runner, RunnerDiesAfter(shop, 20) if dies else shop, *rest)

    learning = []
    step = LiveTraining.step

    def stepped(vector, actions):
        if not learning:
            learning.append(len(calls))  # cycles of the warm-up and of the validation part
        return step(vector, actions)

    monkeypatch.setattr(session, "run_cycle", deadly)
    monkeypatch.setattr(LiveTraining, "step", stepped)
    failed = learn(tmp_path / "killed")
    assert failed.info["status"] == "failed"
    assert "does not answer" in failed.info["reason"]
    assert runs.step_directories(failed.path / "resume")
    learning.append(None)
    assert learn(tmp_path / "killed", resume=True).finished
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
