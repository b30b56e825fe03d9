"""What columns are: numbers, categories, times, addresses, or left out with a reason."""

import uuid
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rl_eval.domains.threat.columns.reading import Choices, read_columns
from rl_eval.domains.threat.formats.sheet import Layout, Sheet
from rl_eval.errors import InputError

ROWS = 400
CSV = Layout("CSV")
UUIDS = [str(uuid.UUID(int=i)) for i in range(3)]


def reading(columns, layout=CSV, events=(), **choices):
    frame = pl.DataFrame(columns)
    sheet = Sheet(Path("f.csv"), layout, frame, np.arange(len(frame)))
    return read_columns(sheet, frame.columns, Choices(**choices), events)


def kind_of(cells, name="x", **choices):
    read = reading({name: cells, "size": [1.0] * len(cells)}, **choices)
    if name in {entry.column for entry in read.left_out}:
        return "left out"
    typed = {column.column: column.kind for column in read.typed}
    return typed.get(name) or ("number" if name in read.numbers else "category")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "x"], "number"),  # most cells are numbers: the other is an error in the file
        (["1", "x", "y"], "category"),
        (["1,234", "7", ""], "number"),
        (["12 %", "-", "5 %"], "number"),
        (["-", "-", "-", "7"], "category"),
        (["0x0f", "0x1f"], "category"),
        (["80,443", "22", "80,8080,9"], "category"),
        (["10.0.0.1", "8.8.8.8"], "address"),
        (["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", None], "time"),
        (UUIDS, "left out"),
        (["", None, " "], "left out"),
        ([f"host{i}" for i in range(ROWS)], "left out"),
        ([f"host{i % 300}" for i in range(ROWS)], "category"),
        ([f"host{i}" for i in range(50)], "category"),  # too few rows to tell
        ([True, False], "number"),
        ([["a"], ["b"]], "left out"),
        ([b"a", b"b"], "left out"),
    ],
)  # fmt: skip
def test_the_kind_follows_from_the_cells(cells, kind):
    assert kind_of(cells) == kind


def test_what_stands_for_an_empty_cell_is_none_where_cells_may_be_missing():
    cells = ["-", "-", "-", "7"]
    assert (kind_of(cells), kind_of(cells, missing_allowed=True)) == ("category", "number")


@pytest.mark.parametrize("name", ["flow_id", "Flow ID", "session.id", "sessionId", "uid"])
def test_texts_that_are_ids_by_name_are_left_out_where_there_are_many(name):
    many, few = [f"a{i % 200}" for i in range(ROWS)], [f"a{i % 9}" for i in range(ROWS)]
    assert (kind_of(many, name), kind_of(few, name), kind_of(many, "width")) == ("left out", "category", "category")
    assert kind_of(many, name, categorical=(name,)) == "category"


def test_a_person_decides():
    times = ["1700000000", "1700000060"]
    assert (kind_of(times), kind_of(times, times=("x",)), kind_of(times, categorical=("x",))) == (
        "number", "time", "category",
    )  # fmt: skip
    assert kind_of(UUIDS, categorical=("x",)) == "category"


def test_times_after_the_first_are_seconds_since_it():
    read = reading({"b": ["2026-01-01", "2026-01-02"], "a": ["2026-01-01", "2026-01-03"], "n": ["1", "2"]})
    assert [(column.column, column.kind, column.since) for column in read.typed] == [
        ("b", "time", None), ("a", "elapsed", "b"),
    ]  # fmt: skip
    assert read.columns == ("b", "a", "n")


def test_a_second_column_of_a_name_is_left_out_only_where_it_repeats_the_first():
    layout = Layout("CSV", renamed={"n": ("n", "n.1", "n.2"), "": ("Unnamed: 3",)})
    read = reading({"n": ["1", "2"], "n.1": ["1", "2"], "n.2": ["1", "3"], "Unnamed: 3": ["a", "b"]}, layout)
    assert {entry.column: entry.reason for entry in read.left_out} == {
        "n.1": "a copy of n", "Unnamed: 3": "a column without a name",
    }  # fmt: skip
    assert read.columns == ("n", "n.2")


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"id": UUIDS}, "no columns that are features"), ({}, "no columns except the label"),
     ({"t": ["2026-01-01", "2026-01-02"], "t:hour_sin": ["1", "2"]}, "has a column 't:hour_sin'")],
)  # fmt: skip
def test_what_cannot_be_read_is_named(columns, message):
    with pytest.raises(InputError, match=message):
        reading(columns)
