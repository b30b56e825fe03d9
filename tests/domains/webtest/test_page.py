"""Candidates of a page, and texts as columns."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.webtest.observation import (
    CANDIDATE_FIXED,
    PAGE_FIXED,
    TEXT,
    candidate_fixed,
    page_fixed,
    text_columns,
)
from rl_eval.domains.webtest.page import BACK, PLACES, ROLES, START, VALUES_OF, Element, Page, candidates

texts = st.text(max_size=60)
elements = st.builds(
    Element, st.sampled_from(ROLES[:-1]), texts, texts, st.sampled_from(PLACES[:-1]), st.floats(0, 1), texts
)
pages = st.builds(Page, texts, texts, texts, st.lists(elements, max_size=20).map(tuple), st.integers(100, 599))


@settings(max_examples=30)
@given(pages, st.integers(2, 40))
def test_there_are_at_most_the_limit_and_the_browsers_own_come_last(page, limit):
    options = candidates(page, limit)
    assert len(options) <= limit
    assert options[-2:] == (BACK, START)
    possible = sum(len(VALUES_OF.get(element.role, (None,))) for element in page.elements)
    assert len(options) == min(possible, limit - 2) + 2


def test_each_element_has_a_candidate_before_one_has_two():
    fields = tuple(Element("text", f"field {index}", "", "form", 0.0, f"f{index}") for index in range(3))
    link = Element("link", "next", "", "main", 1.0, "next")
    options = candidates(Page("s", "", "", (*fields, link)), 7)
    assert [option.key for option in options] == [
        "f0=empty", "f0=too_long", "f1=empty", "f2=empty", "next", "browser:back", "browser:start",
    ]  # fmt: skip


@settings(max_examples=30)
@given(pages)
def test_columns_have_their_number_and_are_finite(page):
    row = page_fixed(page)
    assert row.shape == (len(PAGE_FIXED),)
    rows = np.array([candidate_fixed(option) for option in candidates(page, 24)])
    assert rows.shape[1] == len(CANDIDATE_FIXED)
    assert np.isfinite(row).all()
    assert np.isfinite(rows).all()
    assert np.abs(rows).max() <= 1.0 + 1e-6


def test_spellings_of_one_label_are_nearer_to_each_other_than_to_other_labels():
    pairs = [("Log in", "login"), ("Log out", "Logout"), ("Check out", "checkout"), ("Pass word", "Password")]
    left, right = (np.array([text_columns(pair[side]) for pair in pairs]) for side in (0, 1))
    likeness = left @ right.T
    assert likeness.shape == (4, 4)
    assert np.diag(likeness).mean() > likeness[~np.eye(4, dtype=bool)].mean() + 0.1


def test_a_text_without_letters_has_no_columns():
    assert text_columns("… !").tolist() == [0.0] * TEXT
