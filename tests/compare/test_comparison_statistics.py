import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_eval.compare.permutation import paired_difference
from rl_eval.compare.statistics import GroupScores, compare_groups, contributions, iqm_interval

scores = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=7).map(np.array)


def group(values, seeds=True, episodes=None):
    return GroupScores(np.asarray(values, float), tuple(range(len(values))) if seeds else (), episodes)


@settings(max_examples=15)
@given(scores, st.booleans(), st.booleans())
def test_a_group_against_itself_is_never_worse(values, seeds, higher):
    episodes = np.tile(values[:, None], 4) + np.arange(4)
    same = group(values, seeds, episodes)
    assert compare_groups(same, same, higher_is_better=higher).decision == "UNDECIDED"


@settings(max_examples=15)
@given(scores, scores, st.booleans())
def test_better_for_one_is_worse_for_the_other(x, y, has_bounds):
    bounds = (0.0, 6.0) if has_bounds else None
    forward = compare_groups(group(x, False), group(y, False), higher_is_better=True, bounds=bounds)
    backward = compare_groups(group(y, False), group(x, False), higher_is_better=True, bounds=bounds)
    lower = compare_groups(group(x, False), group(y, False), higher_is_better=False, bounds=bounds)
    mirror = {"BETTER": "WORSE", "WINS": "LOSES", "UNDECIDED": "UNDECIDED", "LOSES": "WINS", "WORSE": "BETTER"}
    assert backward.decision == lower.decision == mirror[forward.decision]


@pytest.mark.parametrize(
    ("counts", "about"), [((8, 8), "training"), ((5, 7), "training"), ((4, 9), "policies"), ((1, 1), "policies")]
)
def test_what_it_is_about_depends_on_the_counts(counts, about):
    rng = np.random.default_rng(0)
    groups = [group(rng.normal(size=n) + 9 * i, episodes=rng.normal(size=(n, 30))) for i, n in enumerate(counts)]
    result = compare_groups(*groups, higher_is_better=True)
    assert result.about == about
    assert result.decision == ("LOSES" if about == "training" else "UNDECIDED")


def test_runs_of_one_seed_are_paired_whatever_their_order():
    x = GroupScores(np.array([1.0, 2, 3, 4, 5]), (1, 2, 3, 4, 5))
    y = GroupScores(np.array([4.9, 3.9, 2.9, 1.9, 0.9, 99.0]), (5, 4, 3, 2, 1, 7))
    result = compare_groups(x, y, higher_is_better=True)
    assert (result.wins.wins, result.wins.losses, result.same_seeds) == (5, 0, True)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_one_run_of_each_is_never_better(bounds):
    episodes = np.random.default_rng(0).random((1, 100)) / 100
    best, worst = GroupScores(np.ones(1), (1,), 1 - episodes), GroupScores(np.zeros(1), (1,), episodes)
    result = compare_groups(best, worst, higher_is_better=True, bounds=bounds)
    assert (result.decision, result.about, result.policies) == ("UNDECIDED", "policies", "HIGHER")
    assert result.mean is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=20))
def test_the_mean_of_the_contributions_is_the_ratio(pairs):
    hits, cases = np.array([min(pair) for pair in pairs]), np.array([pair[1] for pair in pairs])
    assert contributions(hits, cases).mean() == pytest.approx(hits.sum() / cases.sum())


def test_contributions_give_the_standard_error_of_a_ratio():
    # the standard error of a ratio of sums, against 4,000 samples of it
    rng = np.random.default_rng(3)

    def episodes(count):
        cases = rng.integers(1, 30, count)
        return rng.binomial(cases, 0.3), cases

    ratios = [hits.sum() / cases.sum() for hits, cases in (episodes(200) for _ in range(4000))]
    estimates = [contributions(*episodes(200)).std(ddof=1) / np.sqrt(200) for _ in range(200)]
    assert np.mean(estimates) == pytest.approx(np.std(ratios), rel=0.05)


def test_few_runs_have_no_interval_over_runs():
    assert iqm_interval(np.arange(4.0)) is None
    # Agarwal et al. leave out the lowest and highest quarter: of 0 … 7, 0 1 6 7
    assert float(iqm_interval(np.arange(8.0)).estimate) == 3.5


@pytest.fixture
def quick(monkeypatch):
    """Without intervals, which decide nothing."""
    monkeypatch.setattr("rl_eval.compare.permutation._DOUBLINGS", 0)
    monkeypatch.setattr("rl_eval.compare.run_evidence._last_rejected", lambda *_: 0.0)
    monkeypatch.setattr("rl_eval.compare.run_evidence._least_runs", lambda *_, **__: None)


SURE = 1e-3
SIZES = [60, pytest.param(3_000, marks=pytest.mark.verify)]
RUNS = [3, 5, 8, 10, 20]


def collapses(rng, n):
    """One run in ten fails; the mean is .9."""
    return np.where(rng.random(n) < 0.1, 0.0, 1.0)


def steady(rng, n):
    """The same mean, and hardly a difference between runs."""
    return 0.9 + 0.01 * (rng.random(n) - 0.5)


def half_collapses(rng, n):
    return np.where(rng.random(n) < 0.5, 0.8, 1.0)


# Pairs of recipes of one mean.
EQUAL_MEANS = {
    "collapse against steady": (collapses, steady),
    "steady against collapse": (steady, collapses),
    "both collapse": (collapses, collapses),
    "half collapse": (half_collapses, collapses),
    "steady": (steady, steady),
}


def false_claims(world, runs, size, decide, same_seeds=True):
    """How many of the comparisons of equal means claim that the first is better, and how many that it is worse."""
    rng = np.random.default_rng(11)
    decisions = []
    for _ in range(size):
        x, y = (draw(rng, runs) for draw in EQUAL_MEANS[world])
        decisions.append(decide(x, y, same_seeds))
    return decisions.count("BETTER"), decisions.count("WORSE")


def decision(x, y, same_seeds):
    return compare_groups(group(x, same_seeds), group(y, same_seeds), higher_is_better=True, bounds=(0.0, 1.0)).decision


def naive(x, y, same_seeds):
    """The rule that is exact for equal distributions, not for equal means: signs of differences are flipped."""
    result = paired_difference(x, y)
    return "BETTER" if result.p_above <= 0.05 else "WORSE" if result.p_below <= 0.05 else "UNDECIDED"


def is_more_than_alpha(count, size):
    return stats.binomtest(count, size, 0.05, alternative="greater").pvalue < SURE


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("same_seeds", [True, False])
@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("world", EQUAL_MEANS)
def test_recipes_of_one_mean_are_rarely_called_better_in_the_mean(quick, world, runs, same_seeds, size):
    for count in false_claims(world, runs, size, decision, same_seeds):
        assert not is_more_than_alpha(count, size)


@pytest.mark.parametrize("runs", [5, 8, 10])
def test_permutations_under_equal_means_are_caught(quick, runs, record_property):
    better, _ = false_claims("collapse against steady", runs, 100, naive)
    record_property(f"naive {runs}", better / 100)
    assert is_more_than_alpha(better, 100)


def wins(rng, distribution, runs):
    """The decision on two recipes of which each wins as often as the other."""
    if distribution == "a lottery against steady":  # far above or far below with the same chance
        x, y = rng.choice([0.0, 1.0], runs), 0.5 + 0.01 * rng.normal(size=runs)
    else:
        draw = {"normal": rng.normal, "skewed": rng.exponential}[distribution]
        shared = rng.normal(size=runs)
        x, y = draw(size=runs) + shared, draw(size=runs) + shared
    return compare_groups(group(x), group(y), higher_is_better=True).decision


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("distribution", ["normal", "skewed", "a lottery against steady"])
def test_recipes_that_win_equally_often_are_rarely_said_to_win(quick, distribution, runs, size):
    rng = np.random.default_rng(5)
    decisions = [wins(rng, distribution, runs) for _ in range(size)]
    for claim in ("WINS", "LOSES"):
        assert not is_more_than_alpha(decisions.count(claim), size)


@pytest.mark.parametrize("size", [30, pytest.param(1_000, marks=pytest.mark.verify)])
def test_equal_policies_are_rarely_called_lower_over_episodes(quick, size):
    rng = np.random.default_rng(3)
    lower = 0
    for _ in range(size):
        easy = rng.normal(size=100)
        groups = [GroupScores(np.zeros(1), (1,), rng.normal(size=(1, 100)) + easy) for _ in range(2)]
        lower += compare_groups(*groups, higher_is_better=True).policies == "LOWER"
    assert not is_more_than_alpha(lower, size)


def test_a_candidate_that_is_worse_is_called_so(quick):
    rng = np.random.default_rng(2)
    kinds = [
        [compare_groups(group(rng.normal(-2, 1, 8)), group(rng.normal(0, 1, 8)), higher_is_better=True).decision]
        for _ in range(20)
    ]
    assert kinds.count(["LOSES"]) >= 14
    assert kinds.count(["WINS"]) == 0
    bounded = [decision(0.3 + 0.1 * rng.random(10), 0.8 + 0.2 * rng.random(10), False) for _ in range(20)]
    assert bounded.count("WORSE") >= 19
