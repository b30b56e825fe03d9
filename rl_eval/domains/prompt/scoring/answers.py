"""What the answer of an endpoint says: the label it begins with, a grade, or the probabilities of labels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from rl_eval.domains.prompt.scoring.scores import LEAST_PROBABILITY
from rl_eval.formatting import brief, escape_controls

_ROUNDING = 1e-3  # a log-probability of 0 may come a little larger
_AMBIGUOUS_SHARE = 0.01  # tokens that begin several labels may have so much of the labels' probability
_LONGEST_BEGINNING = 1_000  # characters
_NUMBER = re.compile(r"[-−+]?\d+(?:[.,]\d+)?")
_GRADE = re.compile(r"0?\d|10")


class UnreadableError(ValueError):
    """An answer that does not say what was asked for; the message says why, as a part of a sentence."""


def named_label(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer begins with, as a whole word; None if it begins with none.

    Marks before it, such as those of Markdown, are passed over one by one, so that labels may begin with marks
    themselves. A sign before a digit is not such a mark.
    """
    text = answer.strip()[:_LONGEST_BEGINNING].casefold()
    longest_first = sorted(labels, key=len, reverse=True)
    while text:
        for label in longest_first:
            name = label.casefold()
            if text.startswith(name) and not _continues(name, text[len(name) :]):
                return label
        if text[0].isalnum() or (text[0] in "-−+" and text[1:2].isdigit()):
            return None
        text = text[1:].lstrip()
    return None


def read_grade(answer: str) -> float:
    """The first number of an answer, a whole one from 0 to 10, as a tenth of it.

    Raises:
        UnreadableError: there is none.
    """
    match = _NUMBER.search(answer)
    if match is None or not match[0].isascii() or not _GRADE.fullmatch(match[0]):
        raise UnreadableError(f"answered {brief(escape_controls(answer), 60)!r} instead of a grade of 0 to 10")
    return int(match[0]) / 10


def refuse_equal_beginnings(labels: Sequence[str]) -> None:
    """Nothing is wrong where each label has a first word of its own.

    Raises:
        UnreadableError: two have the same.
    """
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(_first_word(label.casefold()), label)
        if other != label:
            raise UnreadableError(f"cannot tell the labels {other!r} and {label!r} apart by their first token")


def read_probabilities(top: Sequence[tuple[str, float]], labels: Sequence[str]) -> tuple[np.ndarray, bool]:
    """The probability of each label `[L]`, by the tokens that begin it, and whether any token does.

    Args:
        top: tokens with their log-probabilities in nats.

    Raises:
        UnreadableError: there are no tokens, a number is not a log-probability, or tokens begin several labels.
    """
    if not top:
        raise UnreadableError("gives no log-probabilities")
    sums, ambiguous = np.zeros(len(labels)), 0.0
    shared: tuple[str, list[str]] = ("", [])
    for token, logprob in top:
        if not logprob <= _ROUNDING:  # NaN too
            raise UnreadableError(f"gives {logprob:.4g} as a log-probability, which is not at most 0")
        begun = _begun_by(token.strip().casefold(), labels)
        p = math.exp(min(logprob, 0.0))
        if len(begun) == 1:
            sums[begun[0]] += p
        elif begun:
            ambiguous += p
            shared = shared if shared[1] else (token, [labels[i] for i in begun])
    if ambiguous > _AMBIGUOUS_SHARE * (ambiguous + sums.sum()):
        token, begun_labels = shared
        names = " and ".join(repr(label) for label in begun_labels[:2])
        raise UnreadableError(
            f"answers with the token {brief(escape_controls(token), 40)!r}, which begins both {names}"
        )
    floored = np.maximum(sums, LEAST_PROBABILITY / 10)
    return floored / floored.sum(), bool(sums.any())


def _begun_by(token: str, labels: Sequence[str]) -> list[int]:
    """Indices of the labels that a token begins: of those whose first word it is, else of all that it is a part of."""
    if not token:
        return []
    begun = [i for i, label in enumerate(labels) if label.casefold().startswith(token)]
    whole = [i for i in begun if _first_word(labels[i].casefold()).startswith(token)
             and not _continues(token, labels[i].casefold()[len(token) :])]  # fmt: skip
    return whole or begun


def _first_word(name: str) -> str:
    """The marks that a text begins with, and the word after them: the most that a first token can be."""
    match = re.match(r"\W*\w+", name)
    return match[0] if match else name


def _continues(name: str, rest: str) -> bool:
    """Whether the word or number that `name` ends with goes on in `rest`; scripts without case have no such words."""
    if not name or not rest or not name[-1].isalnum():
        return False
    if name[-1].isdigit() and rest[0] in ".,":
        return rest[1:2].isdigit()
    return rest[0].isdigit() or (rest[0].isalpha() and rest[0].lower() != rest[0].upper())
