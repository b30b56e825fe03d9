"""The ordered list as CSV: no text of it is a formula, and none is lost."""

import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.qase.commands.next_cycle import (
    empty_log,
    next_cycle,
    order_cases,
    to_csv,
)
from rl_eval.domains.qase.model.project import Case, CaseSuite, build_project
from rl_eval.formatting import escape_controls, spreadsheet_text
from tests.domains.qase.commands.next_cycles import rows_of

texts = st.text(
    st.sampled_from("=+-@\t\r\n,\"';a 1é\uff1d\uff0b\uff0d\uff20\x1b\x00\x9b\u202e\ufeff\u200b\u3000"),
    min_size=1,
    max_size=6,
)


def read_by_a_spreadsheet(cell):
    """What some spreadsheet takes a cell for: without blanks and what is invisible before it, with narrow signs."""
    visible = [letter for letter in cell if letter.isprintable() and not letter.isspace()]
    return unicodedata.normalize("NFKC", "".join(visible))


@given(titles=st.lists(texts, min_size=1, max_size=5), suite=texts)
def test_no_text_is_a_formula_and_none_is_lost(titles, suite):
    listed = [Case(id=i + 1, title=title, suite_id=1) for i, title in enumerate(titles)]
    project = build_project([CaseSuite(id=1, title=suite)], listed, "here")
    planned = next_cycle(project, empty_log(project))
    rows = rows_of(to_csv(project, planned, order_cases(planned.expected_ms, np.zeros(len(titles)), math.inf)))
    assert [row["case_id"] for row in rows] == [str(i + 1) for i in range(len(titles))]
    for row, case in zip(rows, project.cases, strict=True):
        for cell, text in ((row["title"], case.title), (row["suite"], project.suites[0].title)):
            assert not read_by_a_spreadsheet(cell).startswith(("=", "+", "-", "@"))
            assert not cell.startswith(("\t", "\r", "\n"))
            assert cell.removeprefix("'" * (cell[0] != text[0])) == escape_controls(text, keep="\n\t")
            assert escape_controls(cell, keep="\n\t") == cell


@pytest.mark.parametrize(
    "text", ["=1+1", " =1+1", "\uff1d1+1", "\ufeff@SUM(1)", "\x1b=1", "\ta", "\n-1", "\u3000\uff0b1"]
)
def test_a_formula_gets_an_apostrophe(text):
    assert spreadsheet_text(text).startswith("'")


@pytest.mark.parametrize("text", ["a=1", "1-1", "'=1", "", "é\nb", "\u3000日本"])
def test_other_text_stays(text):
    assert spreadsheet_text(text) == text
