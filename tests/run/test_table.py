"""CSV tables from anyone: limits on reading; cells that are not numbers become NaN."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.run import _table, read_table
from rl_eval.run._table import MAX_TABLE_BYTES


def test_cells_that_are_not_finite_numbers_are_nan(tmp_path):
    (tmp_path / "t.csv").write_text("a, b\n1,2\ninf,x\n,1e999\n 3 ,=cmd()\n5\n")
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table["a"], [1, np.nan, np.nan, 3, 5])
    np.testing.assert_array_equal(table["b"], [2, np.nan, np.nan, np.nan, np.nan])


CELLS = ["", " ", "1", "-2.5e3", " 3 ", "nan", "inf", "1_0", "x", "0x1", "１", '"4"', '"5,6"', "1 2", "+.5"]


@given(
    st.lists(st.lists(st.sampled_from(CELLS), max_size=4), max_size=5), st.sampled_from(["\n", "\r\n"]), st.booleans()
)
def test_any_table_is_read_cell_by_cell(tmp_path_factory, rows, line_break, ends):
    file = tmp_path_factory.getbasetemp() / "cells.csv"
    text = "".join(f"{','.join(row)}{line_break}" for row in [["a", "b", "c"], *rows])
    file.write_text(text if ends else text.removesuffix(line_break), newline="", encoding="utf-8")
    number = {"1": 1.0, "-2.5e3": -2500.0, " 3 ": 3.0, '"4"': 4.0, "+.5": 0.5}
    expected = [([number.get(cell, np.nan) for cell in row] + 3 * [np.nan])[:3] for row in rows]
    if rows and not ends and not ",".join(rows[-1]):
        expected.pop()  # nothing is left of that line
    table = read_table(file)
    np.testing.assert_array_equal(np.stack([table[name] for name in "abc"], axis=1), np.reshape(expected, (-1, 3)))


@pytest.mark.parametrize("folder", ["[bold]0", "0_agent.network.widths=[16,16]", "a*b", "a?b"])
def test_a_path_is_no_pattern(tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "metrics.csv").write_text("env_steps\n7\n")
    assert read_table(tmp_path / folder / "metrics.csv")["env_steps"].tolist() == [7]


def test_lines_before_the_header_can_be_skipped(tmp_path):
    (tmp_path / "t.csv").write_text("#{}\nr,l\n1,2\n")
    assert read_table(tmp_path / "t.csv", skip_lines=1)["l"].tolist() == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,a\n1,2\n", "a column twice"),
        ("", "is empty: name a table of metrics"),
        ("\n1\n", "has no header"),
        (",".join(f"c{i}" for i in range(201)), "more than 200 columns"),
        ("x" * 201, "names too long"),
        (f"a\n{',' * (1 << 20)}x\n", "a line of more than 1 MiB"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "t.csv")


def test_missing_large_and_linked_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("a\n1\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "t.csv")
    with pytest.raises(InputError, match="is a link"):
        read_table(tmp_path / "link.csv")
    os.truncate(tmp_path / "t.csv", MAX_TABLE_BYTES + 1)  # sparse
    with pytest.raises(InputError, match="larger than 256 MiB"):
        read_table(tmp_path / "t.csv")


def test_a_table_of_too_many_cells_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_table, "MAX_CELLS", 10)
    (tmp_path / "t.csv").write_text("a,b\n" + 5 * "\n")
    with pytest.raises(InputError, match="more than 10 cells"):
        read_table(tmp_path / "t.csv")
