"""`under:`: criteria on perturbed observations, on the same episodes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import seeding
from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, named_runs
from rl_eval.gates.suite import parse_suite
from rl_eval.policy import Perturbation, PerturbedPolicy, Spaces, gradient_changes, random_changes

SUITE = """\
rl_eval: 1
env: cartpole
episodes: {{min: 10, max: 60, return_bounds: [0, 500]}}
controls: []
criteria:
  clean: {{metric: mean_return, at_least: 60}}
  {criterion}
"""
THEIRS = """\
import numpy as np

CALLS = []


def act(obs):
    CALLS.append(obs.copy())
    return (obs[:, 2] + obs[:, 3] > 0).astype(np.int64)


class Remembers:
    def act(self, obs, episode_start):
        return (obs[:, 2] + obs[:, 3] > 0).astype(np.int64)
"""
BOX = gym.spaces.Box(-4.0, 4.0, (3,), np.float32)
SPACES = Spaces("any", BOX, gym.spaces.Discrete(2))


@pytest.fixture(scope="module")
def _theirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "theirs_under.py").write_text(THEIRS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop("theirs_under", None)


def judged(criterion, policy="python:theirs_under:act"):
    suite = parse_suite(SUITE.format(criterion=criterion), Path("pole.yaml"), "pole.yaml")
    verdict = evaluate_suite(suite, named_runs(suite, [policy]), trust=True)
    return {row.criterion: row for row in verdict.criteria}


@pytest.mark.usefixtures("_theirs")
@pytest.mark.parametrize("under", ["noise: 6", "drop_features: 0.9", "delay: 9", "adversarial: 1"])
def test_a_policy_that_needs_exact_observations_loses_the_criterion_and_keeps_the_other(under):
    rows = judged(f"robust: {{metric: mean_return, at_least: 60, under: {{{under}}}}}")
    assert rows["clean"].decision == "PASS"
    assert rows["robust"].decision == "FAIL"
    assert rows["robust"].metric == f"mean_return under {under.replace(':', '')}"
    both = zip(rows["robust"].played.seeds, rows["clean"].played.seeds, strict=False)
    assert all(seed == other for seed, other in both)
    assert rows["robust"].estimate < rows["clean"].estimate / 2


@pytest.mark.usefixtures("_theirs")
def test_almost_nothing_changes_almost_nothing_and_the_draws_follow_from_the_suite():
    criterion = "robust: {metric: mean_return, at_least: 60, under: {noise: 0.001}}"
    first, second = judged(criterion), judged(criterion)
    assert first["robust"].decision == "PASS"
    assert first["robust"] == second["robust"]


@pytest.mark.usefixtures("_theirs")
def test_the_reference_plays_under_the_same_perturbation():
    rows = judged('robust: {metric: mean_return, better_than: "python:theirs_under:act", under: {delay: 9}}')
    assert rows["robust"].estimate == 0.0  # and not minus what the delay costs


@pytest.mark.usefixtures("_theirs")
@pytest.mark.parametrize(
    ("criterion", "policy", "message"),
    [
        ("{metric: mean_return, at_least: 60, under: {adversarial: 1}}", "python:theirs_under:Remembers", "a memory"),
        ("{metric: mean_return, at_least: 60, under: {delay: 2}}", "python:theirs_under:Remembers", None),
    ],
)
def test_what_cannot_be_perturbed_is_one_sentence_of_its_criterion(criterion, policy, message):
    rows = judged(f"robust: {criterion}", policy)
    assert rows["clean"].decision == "PASS"
    assert (rows["robust"].decision == "ERROR") == (message is not None)
    assert message is None or message in rows["robust"].detail


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ("{metric: mean_return, at_least: 1, under: {noise: 1, delay: 1}}", "has noise and delay: give exactly one"),
        ("{metric: mean_return, at_least: 1, under: {}}", "has nothing: give exactly one"),
        (
            "{metric: mean_return, at_least: 1, under: {nois: 1}}",
            r"under\.nois: there is no such key: did you mean 'noise'",
        ),
        ("{metric: mean_return, at_least: 1, under: {noise: 0}}", "must be greater than 0"),
        ("{metric: mean_return, at_least: 1, under: {drop_features: 2}}", "less than or equal to 1|at most 1"),
        ("{metric: training.wall_s, at_most: 1, under: {noise: 1}}", "training.wall_s is not one: remove it"),
    ],
)
def test_mistakes_in_a_suite_are_one_sentence(criterion, message):
    with pytest.raises(InputError, match=message):
        judged(f"robust: {criterion}")
    with pytest.raises(InputError, match="adversarial needs decisions that are not drawn"):
        judged("robust: {metric: mean_return, at_least: 1, under: {adversarial: 1}}\npolicy: sampled")


class Threshold:
    """Takes action 1 where the first number is above 1; surer of it the farther."""

    def __init__(self):
        self.seen = []

    def act(self, obs, greedy):
        self.seen.append(obs.copy())
        return (obs[:, 0] > 1).astype(np.int64)

    def probabilities(self, obs):
        p = 1 / (1 + np.exp(-(obs[:, 0].astype(np.float64) - 1)))
        return np.column_stack([1 - p, p])


def perturbed(kind, size, policy=None, spaces=SPACES):
    policy = policy or Threshold()
    return PerturbedPolicy(policy, Perturbation(kind, size), spaces, "theirs", 0), policy


def test_a_delay_shows_what_was_before_and_begins_anew_with_each_episode():
    policy, theirs = perturbed("delay", 2)
    starts = np.array([[1, 1], [0, 0], [0, 1], [0, 0], [0, 0]], bool)
    for step, start in enumerate(starts):
        policy.act(np.full((2, 3), step, np.float32), True, episode_start=start)
    assert [seen[:, 0].tolist() for seen in theirs.seen] == [[0, 0], [0, 0], [0, 2], [1, 2], [2, 2]]


def test_noise_and_gaps_have_their_size_and_stay_in_the_space():
    obs = np.full((20_000, 3), 1.0, np.float32)
    noisy, theirs = perturbed("noise", 0.5)
    noisy.act(obs, True)
    assert np.std(theirs.seen[0] - obs) == pytest.approx(0.5, rel=0.02)
    noisy.act(np.full_like(obs, 4.0), True)
    assert theirs.seen[1].max() == 4.0
    gaps, theirs = perturbed("drop_features", 0.25)
    gaps.act(obs, True)
    assert (theirs.seen[0] == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert set(np.unique(theirs.seen[0])) == {0.0, 1.0}


def test_an_adversary_turns_a_decision_exactly_where_it_is_within_reach():
    obs = np.array([[1.4, 0, 0], [0.6, 0, 0], [1.6, 0, 0], [0.2, 0, 0]], np.float32)
    policy, theirs = perturbed("adversarial", 0.5)
    assert policy.act(obs, True).tolist() == [0, 1, 1, 0]
    assert (np.abs(theirs.seen[-1] - obs) <= 0.5 + 1e-6).all()


def test_a_gradient_finds_what_random_corners_miss():
    """In 40 dimensions, a random corner hardly ever agrees with the sign of every weight."""
    weights = np.where(np.arange(40) % 3 == 0, -1.0, 1.0)
    space = gym.spaces.Box(-9, 9, (40,), np.float32)

    class Linear(Threshold):
        def act(self, obs, greedy):
            return (obs @ weights > 1.5).astype(np.int64)

        def probabilities(self, obs):
            return super().probabilities((obs @ weights)[:, None] - 0.5)

    class Blind(Linear):
        probabilities = property(lambda self: (_ for _ in ()).throw(AttributeError("none")))

    obs, spaces = np.zeros((4, 40), np.float32), Spaces("any", space, gym.spaces.Discrete(2))
    sees, _ = perturbed("adversarial", 0.05, Linear(), spaces)
    blind, _ = perturbed("adversarial", 0.05, Blind(), spaces)
    assert sees.act(obs, True).tolist() == [1, 1, 1, 1]
    assert blind.act(obs, True).tolist() == [0, 0, 0, 0]


def test_a_continuous_action_is_moved_as_far_as_the_tries_allow():
    class Steers:
        def act(self, obs, greedy):
            return obs[:, :1] * 2

    spaces = Spaces("any", BOX, gym.spaces.Box(-9, 9, (1,), np.float32))
    policy, _ = perturbed("adversarial", 0.5, Steers(), spaces)
    moved = policy.act(np.zeros((6, 3), np.float32), True)
    np.testing.assert_allclose(np.abs(moved), 1.0, rtol=1e-6)


def test_whole_numbers_stay_whole_and_what_is_no_box_is_refused():
    pixels = gym.spaces.Box(0, 255, (3,), np.uint8)
    policy, theirs = perturbed("noise", 30.0, None, Spaces("any", pixels, gym.spaces.Discrete(2)))
    policy.act(np.full((50, 3), 250, np.uint8), True)
    assert theirs.seen[0].dtype == np.uint8
    assert len(np.unique(theirs.seen[0])) > 10
    for kind, size in (("noise", 0.05), ("adversarial", 0.4)):
        with pytest.raises(InputError, match=rf"^under: {kind} {size} leaves integers as they are.*: give at least 0"):
            perturbed(kind, size, None, Spaces("any", pixels, gym.spaces.Discrete(2)))
    for kind in ("noise", "drop_features", "adversarial"):
        with pytest.raises(InputError, match=rf"^under: {kind} is not possible, .* of any are Discrete: use delay"):
            perturbed(kind, 1.0, None, Spaces("any", gym.spaces.Discrete(3), gym.spaces.Discrete(2)))
    unknown = SimpleNamespace(act=lambda obs, greedy, episode_start: obs)
    with pytest.raises(InputError, match="may have a memory"):
        perturbed("adversarial", 1.0, unknown)


@pytest.mark.parametrize("kind", ["noise", "drop_features", "adversarial", "delay"])
def test_numbers_of_states_cannot_be_changed_but_come_late(kind):
    """FrozenLake's observations are one-hot vectors here, which noise of 0.05 and rounding leave as they are."""
    suite = parse_suite(
        "rl_eval: 1\nenv: {id: FrozenLake-v1, success_return: 1}\nepisodes: {min: 4, max: 8}\ncontrols: []\n"
        "criteria:\n  clean: {metric: success_rate, at_least: 0.1}\n"
        f"  robust: {{metric: success_rate, at_least: 0.1, under: {{{kind}: 1}}}}\n",
        Path("lake.yaml"),
        "lake.yaml",
    )
    rows = {row.criterion: row for row in evaluate_suite(suite, named_runs(suite, ["constant:1"])).criteria}
    assert rows["clean"].decision == "INCONCLUSIVE"
    if kind == "delay":
        assert rows["robust"].decision == "INCONCLUSIVE"
    else:
        assert rows["robust"].decision == "ERROR"
        assert "observations of FrozenLake-v1 are Discrete" in rows["robust"].detail


def test_noise_and_gaps_are_in_all_boxes_of_a_dict():
    image = gym.spaces.Box(0, 255, (2, 2), np.uint8)
    space = gym.spaces.Dict(place=gym.spaces.Dict(x=BOX), image=image, room=gym.spaces.Discrete(3))
    space = gym.spaces.Dict(all=gym.spaces.Tuple([space, BOX]))
    spaces, one = Spaces("any", space, gym.spaces.Discrete(2)), np.ones(3, np.float32)
    inner = {"place": {"x": one}, "image": np.full((2, 2), 100, np.uint8), "room": 2}
    obs = np.empty(400, object)
    obs[:] = [{"all": (inner, one)}] * 400

    class Keeps:
        def act(self, obs, greedy):
            self.seen = obs
            return np.zeros(len(obs), int)

    for kind, size in (("noise", 0.5), ("drop_features", 0.25)):
        policy, theirs = perturbed(kind, size, Keeps(), spaces)
        policy.act(obs, True)
        parts = [row["all"] for row in theirs.seen]
        assert all(isinstance(row, dict) and space.contains(row) for row in theirs.seen)
        assert {part[0]["room"] for part in parts} == {2}
        for values in ([part[1] for part in parts], [part[0]["place"]["x"] for part in parts]):
            if kind == "noise":
                assert np.std(values) == pytest.approx(0.5, rel=0.1)
            else:
                assert np.mean(np.equal(values, 0)) == pytest.approx(0.25, abs=0.05)
        assert len(np.unique([part[0]["image"] for part in parts])) > 1
    assert (one == 1).all()
    with pytest.raises(InputError, match=r"^under: adversarial is not possible, .* of any are Dict: use delay"):
        perturbed("adversarial", 1.0, None, spaces)
    late, theirs = perturbed("delay", 1, Keeps(), spaces)
    late.act(obs, True)
    late.act(obs[::-1].copy(), True, episode_start=np.zeros(400, bool))
    assert theirs.seen[0] is obs[0]


def test_changes_stay_within_epsilon():
    obs = np.zeros((5, 3), np.float32)
    for changed in random_changes(obs, 0.1, 4, seeding.generator(0, "perturbation")):
        np.testing.assert_allclose(np.abs(changed), 0.1, rtol=1e-6)
    steps = list(gradient_changes(obs, 0.1, 4, lambda at: np.ones_like(at)))
    assert len(steps) == 4
    np.testing.assert_allclose(steps[-1], -0.1, rtol=1e-6)
