import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.compare.statistics import GroupScores, compare_groups, contributions, iqm_interval
from rl_eval.evidence import probability_of_improvement

scores = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=7).map(np.array)


def group(values, seeds=True, episodes=None):
    return GroupScores(np.asarray(values, float), tuple(range(len(values))) if seeds else (), episodes)


@given(scores, scores)
def test_one_of_the_two_improves_on_the_other_or_they_tie(x, y):
    forward, backward = (float(probability_of_improvement(a[:, None], b[:, None])) for a, b in ((x, y), (y, x)))
    ties = np.mean(x[:, None] == y[None])
    strictly = np.mean(x[:, None] > y[None]), np.mean(y[:, None] > x[None])
    assert forward + backward == pytest.approx(1.0)
    assert (forward, backward) == pytest.approx((strictly[0] + ties / 2, strictly[1] + ties / 2))


@settings(max_examples=15)
@given(scores, st.booleans(), st.booleans())
def test_a_group_against_itself_is_never_worse(values, seeds, higher):
    episodes = np.tile(values[:, None], 4) + np.arange(4)
    same = group(values, seeds, episodes)
    assert compare_groups(same, same, higher_is_better=higher).decision == "UNDECIDED"


@settings(max_examples=15)
@given(scores, scores)
def test_better_for_one_is_worse_for_the_other(x, y):
    forward = compare_groups(group(x, False), group(y, False), higher_is_better=True)
    backward = compare_groups(group(y, False), group(x, False), higher_is_better=True)
    lower = compare_groups(group(x, False), group(y, False), higher_is_better=False)
    mirror = {"BETTER": "WORSE", "WORSE": "BETTER", "UNDECIDED": "UNDECIDED"}
    assert backward.decision == lower.decision == mirror[forward.decision]
    assert float(forward.improvement.estimate) + float(backward.improvement.estimate) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("counts", "same_seeds", "has_episodes", "basis"),
    [
        ((8, 8), True, True, "seeds"),
        ((4, 4), True, True, "runs"),  # 2⁻⁴ is no evidence at .05, 1 / C(8, 4) can be
        ((8, 7), True, True, "runs"),
        ((3, 3), False, True, "runs"),
        ((1, 19), False, True, "episodes"),  # one run alone has no spread
        ((2, 2), True, True, "episodes"),
        ((1, 1), True, True, "episodes"),
        ((2, 2), True, False, "nothing"),
    ],
)
def test_the_basis_depends_on_the_counts_and_the_seeds(counts, same_seeds, has_episodes, basis):
    rng = np.random.default_rng(0)
    groups = []
    for index, count in enumerate(counts):
        seeds = range(count) if same_seeds else range(100 * index, 100 * index + count)
        episodes = rng.normal(size=(count, 30)) if has_episodes else None
        groups.append(GroupScores(rng.normal(size=count), tuple(seeds), episodes))
    result = compare_groups(*groups, higher_is_better=True)
    assert result.basis == basis
    assert (result.deciding is None) == (basis == "nothing")


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


def test_one_run_has_no_interval_over_runs():
    assert iqm_interval(np.array([1.0])) is None
    # Agarwal et al. leave out the lowest and highest quarter: of 0 … 7, 0 1 6 7
    assert float(iqm_interval(np.arange(8.0)).estimate) == 3.5


DISTRIBUTIONS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed": lambda rng, n: -rng.exponential(size=n),
    "either way": lambda rng, n: rng.choice([0.0, 200.0], size=n, p=[0.3, 0.7]),
    "correlated by seed": lambda rng, n: rng.normal(size=n),
}


@pytest.fixture
def quick(monkeypatch):
    """Without intervals, which decide nothing."""
    monkeypatch.setattr("rl_eval.compare.permutation._DOUBLINGS", 0)
    monkeypatch.setattr("rl_eval.compare.statistics.REPLICATES", 10)


def wrongly_worse(distribution, shape, rng):
    """Whether a candidate of the same distribution as the baseline is called worse."""
    draw = DISTRIBUTIONS[distribution]
    groups = []
    shared = rng.normal(size=shape[0]) if distribution == "correlated by seed" else 0.0
    easy = rng.normal(size=shape[1])  # episodes that are easy or hard for all
    for _ in range(2):
        values = draw(rng, shape[0]) + shared
        episodes = values[:, None] + easy + draw(rng, shape)
        groups.append(GroupScores(episodes.mean(axis=1), tuple(range(shape[0])), episodes))
    if shape[0] == 1:  # of these policies: their true means are made equal
        groups[0] = GroupScores(groups[0].values, (0,), draw(rng, shape) + easy)
        groups[1] = GroupScores(groups[1].values, (0,), draw(rng, shape) + easy)
    return compare_groups(*groups, higher_is_better=True).decision == "WORSE"


def rate(distribution, shape, count):
    rng = np.random.default_rng(11)
    return np.mean([wrongly_worse(distribution, shape, rng) for _ in range(count)])


@pytest.mark.parametrize(("distribution", "shape"), [("skewed", (3, 20)), ("either way", (5, 20))])
def test_equals_are_called_worse_at_most_as_often_as_alpha(quick, distribution, shape):
    # 100 gates: a rate of .05 gives more than 11 with a probability below .5 %
    assert rate(distribution, shape, 100) <= 11 / 100


@pytest.mark.verify
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("shape", [(1, 100), (3, 20), (4, 20), (5, 20), (8, 20)])
def test_equals_are_called_worse_at_most_as_often_as_alpha_at_full_size(quick, distribution, shape, record_property):
    share = rate(distribution, shape, 500)
    record_property(f"{distribution} {shape[0]}", float(share))
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)  # three standard errors


def test_a_candidate_that_is_worse_is_called_so(quick):
    rng = np.random.default_rng(2)
    outcomes = [
        compare_groups(group(rng.normal(-2.0, 1.0, 6)), group(rng.normal(0.0, 1.0, 6)), higher_is_better=True).decision
        for _ in range(20)
    ]
    assert outcomes.count("WORSE") >= 16
    assert outcomes.count("BETTER") == 0
