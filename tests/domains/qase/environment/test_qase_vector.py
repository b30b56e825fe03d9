"""The vector environment: episodes, the sum of rewards, hidden values, and held-out cases."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rl_eval import domains, metrics
from rl_eval.domains.qase import DOMAIN
from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.domains.qase.environment.dataset import content_hash, load_dataset, split_cycles
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.domains.qase.environment.vector import QaseVector
from rl_eval.domains.qase.model.execution_log import NO_VERDICT
from rl_eval.domains.qase.synthetic.history import generate
from rl_eval.errors import InputError
from rl_eval.rollout import play

SMALL = Config(cycles=120)


@pytest.fixture(scope="module")
def data():
    return load_dataset(SMALL)


def playing(part="train", n_envs=3, **config):
    return QaseVector(SMALL.model_copy(update=config), n_envs=n_envs, part=part)


def outcomes_of(vector, actions):
    """The outcome of every step, name -> [T, N]."""
    steps = [vector.step(step_actions)[4]["outcome"] for step_actions in actions]
    return {name: np.stack([step[name] for step in steps]) for name in DOMAIN.facts(SMALL)}


# -- what Gymnasium asks of an environment -----------------------------------------------------------------------------


def test_gymnasium_finds_nothing_wrong_with_one_copy():
    check_env(
        gym.make("rl_eval.domains.qase.gymnasium_env:rl_eval/Qase-v0", cycles=120).unwrapped, skip_render_check=True
    )


def test_gymnasium_makes_many_copies():
    vector = gym.make_vec("rl_eval.domains.qase.gymnasium_env:rl_eval/Qase-v0", num_envs=4, cycles=120)
    obs, _ = vector.reset(seed=1)
    assert obs.shape == (4, len(FEATURES)) == (4, 64)
    assert obs.dtype == np.float32
    assert vector.step(vector.action_space.sample())[0].shape == (4, 64)


def test_an_outcome_has_the_facts_of_the_domain():
    vector = playing()
    vector.reset(seed=0)
    assert set(vector.step(np.zeros(3, int))[4]["outcome"]) == set(DOMAIN.facts(SMALL))


@pytest.mark.parametrize("actions", [[0, 0], [0, 0, 8], [0, -1, 0]])
def test_a_level_that_does_not_exist_is_refused(actions):
    vector = playing()
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="3 integers from 0 to 7"):
        vector.step(np.array(actions))


# -- an episode is a cycle ---------------------------------------------------------------------------------------------


def test_every_case_of_a_cycle_is_shown_once(data):
    vector, train = playing(n_envs=1), data.parts["train"]
    vector.reset(seed=5)
    rows = []
    while True:
        _, _, terminated, truncated, infos = vector.step(np.array([3]))
        rows.append(int(infos["outcome"]["execution"][0]))
        assert not truncated[0]
        if terminated[0]:
            break
    cycle = np.searchsorted(train.start, rows[0], side="right") - 1
    assert sorted(rows) == list(range(train.start[cycle], train.start[cycle + 1]))
    assert rows != sorted(rows), "training shuffles the cases"
    assert infos["final_obs"].shape == (1, 64)


def test_training_plays_every_cycle_before_repeating_one(data):
    vector, train = playing(n_envs=4), data.parts["train"]
    vector.reset(seed=0)
    played = []
    while len(played) < 2 * len(train):
        outcome = vector.step(np.zeros(4, int))[4]["outcome"]
        rows = outcome["execution"][outcome["cycle_end"]]
        played += (np.searchsorted(train.start, rows, side="right") - 1).tolist()
    # copies finish in their own order, so a cycle is early or late by as many as there are copies at most
    early = played[: len(train) - 8]
    assert len(set(early)) == len(early)
    assert set(played) == set(range(len(train)))


def test_a_gate_shows_named_cycles_as_the_source_lists_them(data):
    gate = data.parts["test"]
    vector = QaseVector(SMALL, n_envs=len(gate), part="test", autoreset=False)
    vector.reset(options={"episode": np.arange(len(gate)), "order": 3})
    first = vector.step(np.zeros(len(gate), int))[4]["outcome"]["execution"]
    assert sorted(first) == gate.start[:-1].tolist(), "each cycle once, from its first case"
    vector.reset(options={"episode": np.arange(len(gate)), "order": 3})
    assert (vector.step(np.zeros(len(gate), int))[4]["outcome"]["execution"] == first).all()
    vector.reset(options={"episode": np.arange(len(gate)), "order": 4})
    assert (vector.step(np.zeros(len(gate), int))[4]["outcome"]["execution"] != first).any()
    with pytest.raises(ValueError, match="does not exist"):
        vector.reset(options={"episode": np.full(len(gate), len(gate)), "order": 3})


def test_a_state_taken_goes_on_to_the_bit():
    one, other = playing(), playing()
    one.reset(seed=7)
    other.reset(seed=8)
    rng = np.random.default_rng(0)
    actions = rng.integers(0, LEVELS, (300, 3))
    for step_actions in actions[:137]:
        one.step(step_actions)
    other.set_state(one.get_state())
    after, again = outcomes_of(one, actions[137:]), outcomes_of(other, actions[137:])
    for name in DOMAIN.facts(SMALL):
        np.testing.assert_array_equal(after[name], again[name])
    with pytest.raises(ValueError, match="shape"):
        playing(n_envs=4).set_state(one.get_state())


# -- rewards -----------------------------------------------------------------------------------------------------------


def test_pairs_add_up_to_the_order_by_level():
    vector = playing(n_envs=8)
    vector.reset(seed=1)
    rng = np.random.default_rng(1)
    outcome = outcomes_of(vector, rng.integers(0, LEVELS, (900, 8)))
    checked = 0
    for copy in range(8):
        ends = np.flatnonzero(outcome["cycle_end"][:, copy])
        for begin, end in zip(np.concatenate([[0], ends[:-1] + 1]), ends, strict=True):
            level, verdict = (outcome[name][begin : end + 1, copy] for name in ("level", "verdict"))
            failing, passing = level[verdict == 1], level[verdict == 0]
            expected = np.sign(failing[:, None] - passing).mean() if len(passing) else 0.0
            assert outcome["pairs"][begin : end + 1, copy].sum() == pytest.approx(expected, abs=1e-4)
            if len(passing):
                n, m = len(level), len(failing)
                # APFD is .5 in the middle, and m / 2n from there to the best order that these verdicts allow
                reach = 0.5 * (n - m) / n
                assert outcome["apfd"][end, copy] == pytest.approx(0.5 + reach * expected, abs=1e-4)
            checked += 1
    assert checked > 50


def test_the_best_levels_earn_1_and_the_worst_minus_1():
    for failing, expected in ((7, 1.0), (0, -1.0)):
        vector = playing(n_envs=4)
        vector.reset(seed=2)
        sums, returns = np.zeros(4), []
        for _ in range(400):
            verdict = vector.candidates()["verdict"]
            _, reward, done, _, _ = vector.step(np.where(verdict == 1, failing, 7 - failing))
            sums += reward
            returns += sums[done].tolist()
            sums[done] = 0
        assert len(returns) > 10
        np.testing.assert_allclose(returns, expected, atol=1e-4)


@pytest.mark.parametrize("reward", ["Pairs", "FailureCount", "CaseFailure", "TimeRanked"])
def test_every_reward_prefers_failures_first(reward):
    from rl_eval.domains.qase import rewards

    term = getattr(rewards, reward)()
    worth = {}
    for failing in (7, 0):
        vector = playing(n_envs=4, budget=0.3)
        vector.reset(seed=2)
        total = 0.0
        for _ in range(600):
            verdict = vector.candidates()["verdict"]
            total += term(vector.step(np.where(verdict == 1, failing, 7 - failing))[4]["outcome"]).sum()
        worth[failing] = total
    assert worth[7] > worth[0]


def test_one_level_for_all_earns_nothing():
    from rl_eval.domains.qase.rewards import CaseFailure, Pairs

    vector = playing(n_envs=1)
    vector.reset(seed=2)
    earned = {Pairs: 0.0, CaseFailure: 0.0}
    done = False
    while not done:
        _, _, terminated, _, infos = vector.step(np.array([5]))
        for term in earned:
            earned[term] += float(term()(infos["outcome"])[0])
        done = bool(terminated[0])
    assert list(earned.values()) == pytest.approx([0, 0], abs=1e-4)


# -- what is never told ------------------------------------------------------------------------------------------------


def test_no_observation_knows_a_verdict_or_duration_of_its_own_cycle(data):
    synthetic = generate(SMALL.cycles, SMALL.data_seed)
    log = synthetic.log
    cycle = int(log.cycle[np.flatnonzero(log.verdict == 1)[-1]])
    in_cycle = log.cycle == cycle
    flipped = np.where(in_cycle & (log.verdict != NO_VERDICT), 1 - log.verdict, log.verdict).astype(np.int8)
    slower = np.where(in_cycle, log.duration_ms * 7 + 1, log.duration_ms)
    # flips may end the cycle's being judged, so the features themselves are compared
    from rl_eval.domains.qase.environment.features import extract_features

    before = extract_features(synthetic.project, log)
    after = extract_features(synthetic.project, dataclasses.replace(log, verdict=flipped, duration_ms=slower))
    upto = log.cycle <= cycle
    np.testing.assert_array_equal(before[upto], after[upto])
    assert (before[~upto] != after[~upto]).any() or upto.all()
    assert before.dtype == np.float32
    assert np.isfinite(before).all()


def test_withheld_cases_are_never_shown_in_training(data):
    cases = data.project.cases
    withheld = {i for i, kept_out in enumerate(data.withheld) if kept_out}
    assert 0.1 < len(withheld) / len(cases) < 0.3
    assert not withheld & set(data.parts["train"].case.tolist())
    gate = data.parts["test"]
    assert withheld & set(gate.case.tolist())
    trained = {content_hash(cases[i]) for i in set(data.parts["train"].case.tolist())}
    for row in range(0, len(gate.case), 37):
        assert gate.unseen[row] == (content_hash(cases[gate.case[row]]) not in trained)


def test_parts_follow_each_other_in_time(data):
    synthetic = generate(SMALL.cycles, SMALL.data_seed)
    position = {name: i for i, name in enumerate(synthetic.log.cycles)}
    last = {name: max(position[c] for c in part.names) for name, part in data.parts.items()}
    first = {name: min(position[c] for c in part.names) for name, part in data.parts.items()}
    assert last["train"] < first["validation"] <= last["validation"] < first["test"]
    for part in data.parts.values():
        failures = np.add.reduceat(part.verdict.astype(int), part.start[:-1])
        assert (failures > 0).all()
    assert (data.parts["test"].lengths >= SMALL.min_cases).all()


def test_no_execution_is_in_two_parts(data):
    train, select, gate = (set(part.hashes.tolist()) for part in data.parts.values())
    assert not train & gate
    assert not select & gate
    assert not train & select


def test_a_run_imported_twice_is_detected(data):
    """Its second copy, under another name, has the hashes of the first."""
    synthetic = generate(40, 0)
    log = synthetic.log
    started = 1e9 + log.cycle * 86400.0
    log = dataclasses.replace(log, started=started)
    copied = log.cycle == log.cycle[0] + 5
    twice = dataclasses.replace(
        log,
        cycles=(*log.cycles, "copy"),
        case=np.concatenate([log.case, log.case[copied]]),
        cycle=np.concatenate([log.cycle, np.full(copied.sum(), len(log.cycles), np.int32)]),
        verdict=np.concatenate([log.verdict, log.verdict[copied]]),
        duration_ms=np.concatenate([log.duration_ms, log.duration_ms[copied]]),
        started=np.concatenate([started, started[copied]]),
    )
    parts = split_cycles(synthetic.project, twice, Config(cycles=40, unseen_share=0.0)).parts
    assert parts["test"].names[-1] == "copy"
    assert set(parts["test"].hashes.tolist()) & set(parts["train"].hashes.tolist())


def test_too_few_cycles_are_an_error_of_one_sentence():
    synthetic = generate(10, 0)
    with pytest.raises(InputError, match="too few to train, validate and test: give more results"):
        split_cycles(synthetic.project, synthetic.log, Config(cycles=10, min_cases=70))


@pytest.mark.parametrize("budget", ["20", "m", "0s", "1x", "-5m", 0.0, 1.5, "nan"])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(ValueError, match="such as 90s, 20m"):
        Config(budget=budget)


# -- baselines, and what they are told ---------------------------------------------------------------------------------


def play_baseline(name, config=SMALL, copies=16):
    count = domains.domain(config.name).episodes(config, "test")
    vector = domains.make(config, n_envs=copies, part="test", autoreset=False)
    return play(vector, DOMAIN.baselines[name](config), seeds=list(range(count)), order=1)


def test_baselines_stand_in_their_order():
    apfd = {name: metrics.compute("apfd", play_baseline(name), SMALL) for name in DOMAIN.baselines}
    assert apfd["random"] == pytest.approx(0.5, abs=0.06)
    assert apfd["as_listed"] == pytest.approx(0.5, abs=0.15)
    assert 0.55 < apfd["failure_rate"] < apfd["logistic_regression"] < apfd["optimal"] < 1


def test_the_best_order_runs_every_failure_first():
    episodes = play_baseline("optimal")
    ends = episodes.outcome["cycle_end"]
    n = episodes.lengths
    m = episodes.outcome["failures"][ends]
    np.testing.assert_allclose(episodes.outcome["apfd"][ends], 1 - (m + 1) / (2 * n) + 0.5 / n, atol=1e-5)


def test_the_number_of_copies_changes_nothing():
    for name in ("failure_rate", "optimal", "as_listed"):
        few, many = play_baseline(name, copies=3), play_baseline(name, copies=32)
        for fact in DOMAIN.facts(SMALL):
            np.testing.assert_array_equal(few.outcome[fact], many.outcome[fact])


def test_a_policy_with_probabilities_is_ordered_by_its_expected_level():
    class ActsAlike:
        """Its most likely level is the same for all; how likely the highest is, the failure rate says."""

        def probabilities(self, obs):
            high = 0.4 * obs[:, FEATURES.index("failure_rate")]
            return np.stack([1 - high, *[np.zeros(len(obs))] * 6, high], axis=1)

        def act(self, obs, greedy):
            return np.zeros(len(obs), int)

    vector = domains.make(SMALL, n_envs=8, part="test", autoreset=False)
    seeds = list(range(domains.domain(SMALL.name).episodes(SMALL, "test")))
    greedy = metrics.compute("apfd", play(vector, ActsAlike(), seeds=seeds), SMALL)
    assert greedy == pytest.approx(metrics.compute("apfd", play_baseline("failure_rate"), SMALL), abs=1e-3)
    drawn = play(vector, ActsAlike(), seeds=seeds, greedy=False)
    assert metrics.compute("apfd", drawn, SMALL) == pytest.approx(0.5), "a sampled policy is ordered by what it drew"


def test_under_a_budget_failures_that_do_not_run_are_not_found():
    tight = SMALL.model_copy(update={"budget": 0.25})
    for name in ("failure_rate", "optimal"):
        episodes = play_baseline(name, tight)
        assert metrics.compute("failures_found", episodes, tight) < 1
        assert metrics.compute("napfd", episodes, tight) <= metrics.compute("apfd", episodes, tight)
    assert metrics.compute("failures_found", play_baseline("failure_rate"), SMALL) == 1


def test_unseen_cases_have_a_number_of_their_own():
    episodes = play_baseline("failure_rate")
    overall, unseen = (metrics.compute(name, episodes, SMALL) for name in ("apfd", "apfd_unseen"))
    assert overall != unseen
    units = metrics.lookup("apfd_unseen").variable(episodes, SMALL)
    assert len(units) == len(episodes)
    assert 0 < np.isnan(units).sum() < len(units), "cycles without a failing unseen case have no value"


# -- what is saved beside a run ----------------------------------------------------------------------------------------


def test_constant_features_and_default_rates_are_reported():
    preprocessing = domains.domain("qase").preprocessing(SMALL)
    assert preprocessing["features"] == list(FEATURES)
    assert set(preprocessing["default_rates"]) == set(FEATURES)
    train = load_dataset(SMALL).parts["train"].features
    same = [name for i, name in enumerate(FEATURES) if len(np.unique(train[:, i])) == 1]
    assert preprocessing["constant"] == same
