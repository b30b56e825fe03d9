"""The embedded project: documented sizes, calibrated failure probabilities, and failures that can be predicted."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.environment.features import FEATURES, constant_features, extract_features
from rl_eval.domains.qase.environment.ranking import apfd, mid_ranks
from rl_eval.domains.qase.formats.json_export import read_json_export, write_json_export
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import suite_path
from rl_eval.domains.qase.synthetic import history as synthetic
from rl_eval.domains.qase.synthetic.history import generate
from rl_eval.domains.qase.synthetic.project import COMPONENTS, CONDITIONS, FIELDS
from rl_eval.errors import InputError

CYCLES = 1200


@pytest.fixture(scope="module")
def synthetic_project():
    return generate(CYCLES, seed=0)


@pytest.fixture(scope="module")
def states(synthetic_project):
    return extract_features(synthetic_project.project, synthetic_project.log)


def same(a, b):
    columns = ("case", "cycle", "verdict", "duration_ms", "started")
    return (
        a.project == b.project
        and a.log.cycles == b.log.cycles
        and all(np.array_equal(getattr(a.log, name), getattr(b.log, name), equal_nan=True) for name in columns)
        and np.array_equal(a.failure_probability, b.failure_probability)
    )


def test_one_seed_is_one_history_and_another_seed_another():
    assert same(generate(60, seed=3), generate(60, seed=3))
    one, other = generate(60, seed=3), generate(60, seed=4)
    assert one.project != other.project
    assert not np.array_equal(one.log.verdict, other.log.verdict)


@settings(max_examples=40)
@given(cycles=st.integers(1, 40), cases=st.integers(1, 90), seed=st.integers(0, 2**64))
def test_any_size_gives_a_sound_project_and_log(cycles, cases, seed):
    synthetic_project = generate(cycles, seed, cases)
    project, log = synthetic_project.project, synthetic_project.log
    document = json.loads(json.dumps(write_json_export(project)))
    assert read_json_export(document, "export.json", Notes()) == project
    assert len(project.cases) == log.n_cases == cases
    assert len({(case.suite_id, case.title) for case in project.cases}) == cases
    assert {suite.title for suite in project.suites} == set(COMPONENTS)
    assert {suite_path(project, case)[-1] for case in project.cases} <= set(COMPONENTS)
    assert [log.case.dtype, log.cycle.dtype, log.verdict.dtype] == [np.int32, np.int32, np.int8]
    assert synthetic_project.failure_probability.dtype == np.float32
    assert synthetic_project.failure_probability.shape == log.case.shape == log.duration_ms.shape == log.started.shape
    assert ((synthetic_project.failure_probability >= 0) & (synthetic_project.failure_probability <= 1)).all()
    assert list(log.cycles) == sorted(set(log.cycles))
    assert np.array_equal(np.unique(log.cycle), np.arange(cycles)), "every cycle runs something"
    assert (np.diff(log.cycle) >= 0).all()
    assert (np.diff(log.started) >= 0).all()
    assert len(np.unique(log.cycle.astype(np.int64) * cases + log.case)) == len(log), "a case runs once a cycle"
    assert set(np.unique(log.verdict)) <= {-1, 0, 1}
    assert np.array_equal(np.isnan(log.duration_ms), log.verdict == -1)
    assert (np.bincount(log.cycle) <= synthetic.SIZE[1]).all()


@pytest.mark.parametrize("size", [{"cycles": 0}, {"cases": 0}, {"seed": -1}])
def test_a_size_that_cannot_be_is_named(size):
    with pytest.raises(InputError, match=f"{next(iter(size))}=.*give"):
        generate(**({"cycles": 5, "seed": 0, "cases": 5} | size))


def test_shares_add_up():
    for values in (*FIELDS.values(), CONDITIONS):
        assert sum(share for share, _ in values.values()) == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cycles_fail_as_often_as_real_ones_do(seed):
    log = generate(CYCLES, seed).log
    with_verdict = log.verdict >= 0
    ran = np.bincount(log.cycle[with_verdict], minlength=CYCLES)
    failed = np.bincount(log.cycle, log.verdict == 1, minlength=CYCLES)
    assert 0.8 < (failed > 0).mean() < 0.92
    assert 0.08 < (failed / ran)[failed > 0].mean() < 0.2
    assert 0.01 < (~with_verdict).mean() < 0.03
    assert 20 < np.percentile(ran, 5) < np.percentile(ran, 95) < 80


def test_new_cases_are_added_until_the_end(synthetic_project, states):
    added_late = synthetic_project.log.cycle >= 0.9 * CYCLES
    assert states[added_late, FEATURES.index("never_run")].sum() > 5


def test_no_single_feature_predicts_failures(states):
    # a muted case has no verdict, so none is muted
    assert constant_features(states) == ("is_muted",)


def excess(verdict, probability):
    """How many standard deviations the failures lie above those that independent probabilities make."""
    return (verdict.sum() - probability.sum()) / np.sqrt((probability * (1 - probability)).sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_verdicts_match_the_probabilities(seed):
    synthetic_project = generate(CYCLES, seed)
    with_verdict = synthetic_project.log.verdict >= 0
    verdict, cycle = (
        synthetic_project.log.verdict[with_verdict].astype(float),
        synthetic_project.log.cycle[with_verdict],
    )
    probability = synthetic_project.failure_probability[with_verdict].astype(float)
    possible = np.flatnonzero(probability > 0)
    assert verdict[probability == 0].sum() == 0
    for rows in np.array_split(possible[np.argsort(probability[possible])], 10):
        assert abs(excess(verdict[rows], probability[rows])) < 4
    assert abs(excess(verdict, probability)) < 4
    assert abs(excess(verdict, 1.1 * np.minimum(probability, 0.9))) > 4, "a tenth more would show"
    # independent within a cycle: its failures vary as sums of independent ones do
    variance = np.bincount(cycle, probability * (1 - probability))
    much = variance > 1
    spread = np.bincount(cycle, verdict - probability)[much] / np.sqrt(variance[much])
    assert much.sum() > CYCLES / 2
    assert (spread**2).mean() == pytest.approx(1, abs=4 * np.sqrt(3 / much.sum()))


def rates(synthetic_project, rows, group, groups):
    """Failure rate of each group among some executions."""
    rows = rows & (synthetic_project.log.verdict >= 0)
    return np.bincount(group[rows], synthetic_project.log.verdict[rows], groups) / np.bincount(
        group[rows], minlength=groups
    )


def test_components_grow_hot_and_cool_again(synthetic_project):
    names = list(COMPONENTS)
    suite = np.array(
        [names.index(suite_path(synthetic_project.project, case)[-1]) for case in synthetic_project.project.cases]
    )[synthetic_project.log.case]
    third = synthetic_project.log.cycle * 3 // CYCLES
    first, last = (rates(synthetic_project, third == i, suite, len(names)) for i in (0, 2))
    assert (np.abs(np.log(first / last)) > np.log(1.5)).sum() >= 4
    # within the same third the order of the components stays nearly what it is, over time it does not
    odd, even = (
        rates(synthetic_project, (third == 2) & (synthetic_project.log.cycle % 2 == i), suite, len(names))
        for i in (0, 1)
    )
    assert np.corrcoef(odd, even)[0, 1] > 0.9 > 0.6 > np.corrcoef(first, last)[0, 1]


def test_failures_of_low_priority_linger(synthetic_project, states):
    failed_before = states[:, FEATURES.index("verdict_1_ago")] == 1
    just_before = np.isclose(states[:, FEATURES.index("cycles_since_run")], np.log1p(1) / 5)
    rows = failed_before & just_before
    priority = np.array([["high", "low"].index(case.priority) if case.priority in ("high", "low") else 2
                         for case in synthetic_project.project.cases])[synthetic_project.log.case]  # fmt: skip
    high, low, _ = rates(synthetic_project, rows, priority, 3)
    assert low > high + 0.1


def later_apfd(synthetic_project, scores, rows):
    """Mean APFD over the last 30 % of cycles, of cases among `rows`, at least 6 a cycle."""
    rows = rows & (synthetic_project.log.verdict >= 0)
    result = []
    for cycle in range(int(0.7 * CYCLES), CYCLES):
        at = np.flatnonzero(rows & (synthetic_project.log.cycle == cycle))
        if len(at) >= 6 and synthetic_project.log.verdict[at].any():
            real = np.ones((1, len(at)), bool)
            result.append(
                apfd(
                    mid_ranks(scores[None, at].astype(float), real), synthetic_project.log.verdict[None, at] == 1, real
                )
            )
    return np.mean(result)


def test_there_is_more_to_learn_than_the_failure_rate(synthetic_project, states):
    from sklearn.linear_model import LogisticRegression

    withheld = np.array([zlib.crc32(case.title.encode()) % 5 == 0 for case in synthetic_project.project.cases])[
        synthetic_project.log.case
    ]
    in_training = (synthetic_project.log.cycle < 0.6 * CYCLES) & (synthetic_project.log.verdict >= 0) & ~withheld
    fitted = LogisticRegression(C=0.01, max_iter=2000).fit(
        states[in_training], synthetic_project.log.verdict[in_training]
    )
    learned = fitted.decision_function(states)
    failure_rate = states[:, FEATURES.index("failure_rate")]
    for rows in (np.ones(len(in_training), bool), withheld):
        plain = later_apfd(synthetic_project, failure_rate, rows)
        assert 0.6 < plain < 0.74
        assert (
            plain + 0.05
            < later_apfd(synthetic_project, learned, rows)
            < later_apfd(synthetic_project, synthetic_project.failure_probability, rows) - 0.04
        )


@pytest.fixture(scope="module")
def without_signal():
    return generate(400, seed=0, signal=False)


def test_without_a_signal_each_case_fails_at_its_own_constant_rate(without_signal):
    log, probability = without_signal.log, without_signal.failure_probability
    rate = np.zeros(log.n_cases, np.float32)
    rate[log.case] = probability
    np.testing.assert_array_equal(rate[log.case], probability)
    ran = log.verdict >= 0
    expected, variance = probability[ran].sum(), (probability[ran] * (1 - probability[ran])).sum()
    assert abs((log.verdict[ran] == 1).sum() - expected) < 4 * variance**0.5
    early, late = (log.cycle[ran] < 200), (log.cycle[ran] >= 200)
    surprise = (log.verdict[ran] == 1) - probability[ran]
    for half in (early, late):
        assert abs(surprise[half].sum()) < 4 * (probability[ran] * (1 - probability[ran]))[half].sum() ** 0.5


def test_without_a_signal_neither_fields_nor_the_latest_verdict_say_more_than_the_rate(without_signal):
    features = extract_features(without_signal.project, without_signal.log)
    ran = without_signal.log.verdict >= 0
    surprise = ((without_signal.log.verdict == 1) - without_signal.failure_probability)[ran]
    for name in ("severity", "priority", "behavior_negative", "layer_e2e", "verdict_1_ago", "failed_lately"):
        correlation = np.corrcoef(features[ran, FEATURES.index(name)], surprise)[0, 1]
        assert abs(correlation) < 4 / ran.sum() ** 0.5, name


def test_with_a_signal_they_do(synthetic_project, states):
    ran = synthetic_project.log.verdict >= 0
    failed = (synthetic_project.log.verdict == 1)[ran]
    rate = states[ran, FEATURES.index("failure_rate")]
    known = states[ran, FEATURES.index("runs")] > 0.4
    surprise = (failed - rate)[known]
    assert np.corrcoef(states[ran][known, FEATURES.index("verdict_1_ago")], surprise)[0, 1] > 0.05


@settings(max_examples=20)
@given(cycles=st.integers(1, 30), cases=st.integers(1, 90), seed=st.integers(0, 2**32))
def test_a_history_without_a_signal_is_sound_too(cycles, cases, seed):
    log = generate(cycles, seed, cases, signal=False).log
    assert np.array_equal(np.unique(log.cycle), np.arange(cycles)), "every cycle runs something"
    assert (np.bincount(log.cycle) <= synthetic.SIZE[1]).all()
    assert len(np.unique(log.cycle.astype(np.int64) * cases + log.case)) == len(log), "a case runs once a cycle"
