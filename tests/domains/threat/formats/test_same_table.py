"""A table of flows gives the same observations in whatever format it is written."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains import threat
from rl_eval.domains.threat import csv_data, preprocess
from rl_eval.domains.threat.fitted_preprocessing import CLIP
from rl_eval.domains.threat.flow_table import partition_hashes, row_hashes
from rl_eval.errors import InputError
from tests.domains.threat.formats.written import WRITERS

numbers = st.one_of(
    st.floats(-1e9, 1e9).map(lambda x: round(x, 3)), st.integers(-5000, 5000).map(float), st.just(2e300),
    st.just(float("inf")), st.none(),
)  # fmt: skip
texts = st.sampled_from(["tcp", "udp", "größer", "a b"])
addresses = st.sampled_from(["10.0.0.7", "8.8.8.8", "fe80::1", "2600::8", "127.0.0.1"])
times = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2026, 1, 1)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000, tzinfo=dt.UTC)
)


def column(cells, rows):
    return st.lists(cells, min_size=rows, max_size=rows)


@st.composite
def tables(draw, rows=30):
    first = [1.5, -2.25]  # some decimal places, and both signs
    return {
        "size": first + draw(column(numbers, rows - 2)),
        "proto": ["größer", *["tcp"] * 5] + draw(column(texts, rows - 6)),
        "src": draw(column(addresses, rows)),
        "seen": draw(column(times, rows)),
        "label": [0, 1] * (rows // 2),
    }


def table_in(path):
    config = threat.Config(data="csv", path=str(path), label="label", missing="indicator")
    return csv_data.read(config)[0]


@settings(max_examples=4)
@given(tables())
def test_every_format_gives_the_same_observations(tmp_path_factory, table):
    check(tmp_path_factory, table)


@pytest.mark.verify
@settings(max_examples=200)
@given(tables())
def test_every_format_gives_the_same_observations_of_many_tables(tmp_path_factory, table):
    check(tmp_path_factory, table)


def check(tmp_path_factory, table):
    folder, read = tmp_path_factory.mktemp("formats"), {}
    for name, write in WRITERS.items():
        path = folder / f"{len(read)}.parquet" if name == "parquet" else folder / f"{len(read)}.log"
        write(path, table)
        read[name] = table_in(path)
    first = preprocess.fit(read["comma"], missing="indicator")
    assert "proto=tcp" in first.columns()
    observations = first.transform(read["comma"])
    assert np.isfinite(observations).all()
    assert np.abs(observations).max() <= CLIP
    for name, flows in read.items():
        fitted = preprocess.fit(flows, missing="indicator")
        assert fitted.to_json() == first.to_json(), name
        assert np.array_equal(fitted.transform(flows), observations), name
        for hashes in (row_hashes, partition_hashes):
            assert np.array_equal(hashes(flows), hashes(read["comma"])), name
        assert np.array_equal(flows.label, read["comma"].label)


@pytest.mark.parametrize("name", WRITERS)
def test_rows_of_every_format_know_their_line(tmp_path, name):
    table = {"size": [1.5, 2.5, 3.5], "proto": ["tcp", "udp", "tcp"], "label": [0, 1, 7]}
    path = tmp_path / ("flows.parquet" if name == "parquet" else "flows.log")
    WRITERS[name](path, table)
    before = {"semicolon, decimal comma, Windows-1252": 2, "comments, thousands": 4, "zeek": 7, "json": 0, "parquet": 0}
    unit = "row" if name == "parquet" else "line"
    with pytest.raises(InputError, match=rf"flows\.\w+, {unit} {before.get(name, 1) + 3}: the label '7'"):
        table_in(path)
