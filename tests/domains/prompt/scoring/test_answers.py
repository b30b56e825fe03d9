"""What answers say: labels with marks, grades in their range, and tokens that tell labels apart or do not."""

from math import exp, inf, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.prompt.scoring.answers import (
    UnreadableError,
    named_label,
    read_grade,
    read_probabilities,
    refuse_equal_beginnings,
)

SIGNS = ("-1", "0", "1")


@pytest.mark.parametrize(
    ("answer", "labels", "label"),
    [
        ("-1", SIGNS, "-1"), ("1", SIGNS, "1"), ("**-1**", SIGNS, "-1"), ("- 1", SIGNS, "1"), ("-1", ("0", "1"), None),
        ("+", ("+", "-"), "+"), ("-.", ("+", "-"), "-"), ("#a", ("#a", "#b"), "#a"), ('"#b"', ("#a", "#b"), "#b"),
        ("10", ("1", "2"), None), ("1.5", ("1", "2"), None), ("1.", ("1", "2"), "1"), ("1,", ("1", "2"), "1"),
        ("Not sure.", ("no", "not sure"), "not sure"), ("nothing", ("no", "not sure"), None),
        ("No", ("no", "yes"), "no"),
        ("C++ code", ("c", "c++"), "c++"), ("\u6b63\u9762\u7684", ("\u6b63\u9762", "\u8ca0\u9762"), "\u6b63\u9762"),
        ("", SIGNS, None), ("<think>", ("think", "act"), "think"), ("I see", ("see", "hear"), None),
    ],
)  # fmt: skip
def test_an_answer_names_the_label_that_it_begins_with(answer, labels, label):
    assert named_label(answer, labels) == label


LABELS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8)


@given(st.lists(LABELS, min_size=2, max_size=6, unique_by=str.casefold))
def test_an_answer_that_is_a_label_names_it(labels):
    for label in labels:
        assert named_label(label, labels) == label
        assert named_label(f"{label}\nand more", labels) == label


def test_a_long_answer_of_marks_is_read_at_once():
    assert named_label("*" * 1_000_000, ("a", "b")) is None


@pytest.mark.parametrize(
    ("answer", "grade"), [("8", 0.8), ("8 of 10", 0.8), ("Grade: 10.", 1.0), ("08", 0.8), ("0", 0)]
)
def test_a_grade_is_a_tenth(answer, grade):
    assert read_grade(answer) == grade


@pytest.mark.parametrize("answer", ["0000999", "00011", "-5", "11", "8.5", "10,5", "great", "", "9" * 5_000, "\u00b2"])
def test_what_is_no_grade_is_refused(answer):
    with pytest.raises(UnreadableError):
        read_grade(answer)


def test_a_token_counts_for_the_label_that_it_begins():
    top = [(" Pos", log(0.4)), ("positive", log(0.2)), ("neg", log(0.3)), ("the", log(0.1))]
    p, is_named = read_probabilities(top, ("positive", "negative"))
    np.testing.assert_allclose(p, [2 / 3, 1 / 3])
    assert is_named
    p, _ = read_probabilities([(" no", log(0.6)), (" not", log(0.2))], ("no", "not sure"))
    np.testing.assert_allclose(p, [0.75, 0.25])
    p, _ = read_probabilities([("-", log(0.6)), ("1", log(0.3)), ("0", log(0.1))], SIGNS)
    np.testing.assert_allclose(p, [0.6, 0.1, 0.3])


def test_tokens_that_name_no_label_tell_nothing_and_say_so():
    p, is_named = read_probabilities([("<think>", 0.0)], ("yes", "no"))
    np.testing.assert_allclose(p, [0.5, 0.5])
    assert not is_named


@pytest.mark.parametrize(
    ("top", "labels"),
    [
        ([], ("yes", "no")), ([("yes", nan)], ("yes", "no")), ([("yes", 0.5)], ("yes", "no")),
        ([("yes", inf)], ("yes", "no")), ([(" class", -0.01), (" other", -5.0)], ("class 1", "class 2")),
        ([("po", log(0.5)), ("positive", log(0.5))], ("positive", "polite")), ([("#", -0.1)], ("#a", "#b")),
    ],
)  # fmt: skip
def test_tokens_that_cannot_be_read_are_refused(top, labels):
    with pytest.raises(UnreadableError):
        read_probabilities(top, labels)


def test_a_rare_token_that_begins_several_labels_does_not_matter():
    p, _ = read_probabilities([("p", log(0.001)), ("positive", log(0.9))], ("positive", "polite"))
    assert p[0] > 0.99


@given(st.lists(st.tuples(st.sampled_from(["yes", "no", "y", "other"]), st.floats(-50, 0)), min_size=1, max_size=20))
def test_probabilities_add_up_to_one(top):
    p, is_named = read_probabilities(top, ("yes", "no"))
    assert p.sum() == pytest.approx(1)
    assert (p > 0).all()
    assert is_named == any(token != "other" and exp(value) > 0 for token, value in top)


@pytest.mark.parametrize("labels", [("class 1", "class 2"), ("no", "no way"), ("a", "b", "a b"), ("c", "c++")])
def test_labels_with_one_first_word_are_refused(labels):
    with pytest.raises(UnreadableError):
        refuse_equal_beginnings(labels)


def test_labels_with_first_words_of_their_own_are_allowed():
    refuse_equal_beginnings(("0 - no", "1 - perhaps", "-1", "+", "-", "not the same", "same"))
