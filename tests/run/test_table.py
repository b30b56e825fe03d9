"""CSV tables from anyone: limits on reading; cells that are not numbers become NaN."""

import os

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.run import read_table
from rl_eval.run._table import MAX_TABLE_BYTES


def test_cells_that_are_not_finite_numbers_are_nan(tmp_path):
    (tmp_path / "t.csv").write_text("a, b\n1,2\ninf,x\n,1e999\n 3 ,=cmd()\n5\n")
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table["a"], [1, np.nan, np.nan, 3, 5])
    np.testing.assert_array_equal(table["b"], [2, np.nan, np.nan, np.nan, np.nan])


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
        ("", "no header"),
        (",".join(f"c{i}" for i in range(201)), "more than 200 columns"),
        ("x" * 201, "names too long"),
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
