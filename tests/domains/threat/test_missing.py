"""Missing, infinite and very large numbers: in training, in `preprocessing.json`, and in new data."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains import threat
from rl_eval.domains.threat import preprocess
from rl_eval.domains.threat.data import load_dataset
from rl_eval.domains.threat.fitted_preprocessing import CLIP, FittedPreprocessing
from rl_eval.domains.threat.flow_table import Table, row_hashes
from rl_eval.errors import InputError

NAN, INF = float("nan"), float("inf")


def table_of(*columns):
    numeric = np.array(columns, float).T
    nothing = np.zeros(len(numeric), np.int8)
    names = tuple(f"n{i}" for i in range(len(columns)))
    return Table(names, numeric, (), (), np.zeros((len(numeric), 0), np.int32), nothing, ("x",), nothing)


def applied(fitted, *columns):
    """What the preprocessing makes of other flows, after it was written and read again."""
    values = {key: value for key, value in json.loads(json.dumps(fitted.to_json())).items() if key != "columns"}
    return preprocess.of_fitted(FittedPreprocessing.model_validate(values)).transform(table_of(*columns))


def test_missing_values_are_the_median_and_infinite_ones_the_ends_of_the_range():
    train = table_of([1.0, 2.0, 3.0, 10.0, NAN, INF], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    fitted = preprocess.fit(train, missing="median")
    assert fitted.columns() == ["n0", "n1"]
    finite = np.array([1.0, 2.0, 3.0, 10.0])
    expected = (np.array([1.0, 2.0, 3.0, 10.0, 2.5]) - finite.mean()) / finite.std()
    np.testing.assert_allclose(fitted.transform(train)[:, 0], [*expected, CLIP], rtol=1e-6)
    assert applied(fitted, [-INF, NAN], [NAN, 0.0])[:, 0].tolist() == [-CLIP, pytest.approx(expected[-1])]


def test_an_indicator_says_where_a_value_was_missing_in_training():
    train = table_of([1.0, NAN, 3.0, INF], [0.0, 1.0, 2.0, 3.0])
    fitted = preprocess.fit(train, missing="indicator")
    assert fitted.columns() == ["n0", "n1", "n0=<missing>"]
    assert fitted.fields() == ["n0", "n1", "n0"]
    assert fitted.transform(train)[:, 2].tolist() == [0.0, 1.0, 0.0, 0.0]
    other = applied(fitted, [2.0, NAN], [NAN, 1.0])  # where training had none, the median is taken alone
    assert other[:, 2].tolist() == [0.0, 1.0]
    assert other[0, 1] == 0.0  # n1: the median of training is its mean


def test_a_value_that_is_missing_where_none_may_be_is_named():
    fitted = preprocess.fit(table_of([1.0, 2.0, 3.0]))
    assert "median" not in fitted.to_json()["numeric"][0]
    with pytest.raises(InputError, match=r"the field 'n0' has missing values.*env\.missing=median"):
        fitted.transform(table_of([NAN]))


@pytest.mark.parametrize(
    ("column", "columns"),
    [
        ([NAN, NAN, NAN], {"median": [], "indicator": []}),
        ([1.0, 1.0, NAN], {"median": [], "indicator": ["n0", "n0=<missing>"]}),
        ([1.0, 1.0, INF], {"median": ["n0"], "indicator": ["n0"]}),
    ],
)
def test_a_column_is_kept_where_it_says_something(column, columns):
    for missing, expected in columns.items():
        fitted = preprocess.fit(table_of(column), missing=missing)
        assert fitted.columns() == expected
        assert np.isfinite(fitted.transform(table_of(column))).all()


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=30), st.lists(numbers, min_size=1, max_size=5))
def test_observations_are_finite_whatever_the_numbers_are(train, other):
    for missing in ("median", "indicator"):
        fitted = preprocess.fit(table_of(train), missing=missing)
        for observations in (fitted.transform(table_of(train)), applied(fitted, other)):
            assert np.isfinite(observations).all()
            assert np.abs(observations).max(initial=0.0) <= CLIP


@pytest.mark.parametrize(
    "column", [[1e300, 2e300, -2e300, 1.5e300], [1e-12, 2e300, 1e-11, 1e-10], [1.7e308, -1.7e308, 0.0]]
)
def test_very_large_numbers_keep_their_order(column):
    fitted = preprocess.fit(table_of(column))
    observations = fitted.transform(table_of(column))[:, 0]
    assert np.isfinite(observations).all()
    order = np.argsort(column)
    assert (np.diff(observations[order]) >= 0).all()
    assert observations[order[0]] < observations[order[-1]]


def test_missing_values_are_equal_to_each_other_in_hashes():
    payload = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    assert len(set(row_hashes(table_of([NAN, payload, -NAN])).tolist())) == 1
    assert len(set(row_hashes(table_of([NAN, INF, 0.0])).tolist())) == 3


def test_a_file_with_missing_cells_is_refused_until_a_person_says_how(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "flows.csv"
    rows = [f"{'' if i % 9 == 0 else 'Infinity' if i % 10 == 0 else rng.random()},{i % 3},{i % 2}" for i in range(300)]
    path.write_text("\n".join(["rate,count,label", *rows, ""]))
    config = threat.Config(data="csv", path=str(path), label="label")
    with pytest.raises(
        InputError, match=r"line 2: the column 'rate' is empty.*env\.missing=median or env\.missing=indicator"
    ):
        load_dataset(config)
    dataset = load_dataset(config.model_copy(update={"missing": "indicator"}))
    assert dataset.preprocessing.columns() == ["rate", "count", "rate=<missing>"]
    indicator = np.concatenate([part.features[:, 2] for part in dataset.parts.values()])
    assert indicator.sum() == sum(i % 9 == 0 for i in range(300))
