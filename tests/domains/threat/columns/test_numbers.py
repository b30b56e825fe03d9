"""Notations of numbers, against Python's own formatting, and cells that stand for an empty one."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.threat.columns.numbers import MISSING, are_noted_numbers, parse_numbers
from rl_eval.domains.threat.formats.decimal_sign import decimal_sign

NOTATIONS = {
    "grouped": (".", lambda x: f"{x:,.3f}"),
    "with blanks": (".", lambda x: f" {x:.3f}\t"),
    "narrow blanks": (".", lambda x: f"{x:,.3f}".replace(",", "\u202f")),
    "Swiss": (".", lambda x: f"{x:,.3f}".replace(",", "'")),
    "decimal comma": (",", lambda x: f"{x:.3f}".replace(".", ",")),
    "grouped, decimal comma": (",", lambda x: f"{x:,.3f}".replace(",", " ").replace(".", ",").replace(" ", ".")),
    "exponent": (".", lambda x: f"{x:.12e}"),
    "exponent, decimal comma": (",", lambda x: f"{x:.12e}".replace(".", ",")),
    "percent": (".", lambda x: f"{100 * x:.6f} %"),
    "plus": (".", lambda x: f"{x:+,.3f}"),
}


@pytest.mark.parametrize("notation", NOTATIONS)
@settings(max_examples=15)
@given(values=st.lists(st.floats(-1e8, 1e8).map(lambda x: round(x, 3)), min_size=1, max_size=20))
def test_numbers_are_read_in_every_notation(notation, values):
    decimal, write = NOTATIONS[notation]
    read, bad = parse_numbers(pl.Series([write(x) for x in values]), decimal)
    assert not bad.any()
    assert read.tolist() == pytest.approx(values, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1,234", ".", 1234.0), ("1,234", ",", 1.234), ("1.234", ".", 1.234), ("1.234", ",", 1234.0),
        ("0.125", ",", 0.125), ("1.5", ",", 1.5), ("12 %", ".", 0.12), ("0x1F", ".", 31.0), ("2e300", ".", 2e300),
        ("1e999", ".", math.inf), ("Infinity", ".", math.inf), ("-inf", ",", -math.inf), ("NaN", ".", math.nan),
        ("", ".", math.nan), (None, ".", math.nan), (" - ", ".", math.nan), ("#DIV/0!", ".", math.nan),
    ],
)  # fmt: skip
def test_cells_that_a_file_may_hold(cell, decimal, value):
    read, bad = parse_numbers(pl.Series([cell, "7"], dtype=pl.String), decimal)
    assert (read.tolist(), bad.tolist()) == (pytest.approx([value, 7.0], nan_ok=True), [False, False])


@pytest.mark.parametrize("cell", ["1,23,4", "12,34.5", "1.2.3", "0x", "0xfffffffffffffff", "%", "1 2", "tcp", "1e"])
def test_other_texts_are_no_numbers(cell):
    read, bad = parse_numbers(pl.Series([cell, "7"]), ".")
    assert bad.tolist() == [True, False]
    assert np.isnan(read[0])


def test_what_stands_for_an_empty_cell_is_missing_in_any_case():
    read, bad = parse_numbers(pl.Series([word.upper() for word in MISSING] + ["1"]), ".")
    assert not bad.any()
    assert np.isnan(read[:-1]).all()


def test_plain_numbers_and_codes_are_no_notation():
    cells = pl.Series(["1,234", "5 %", "12", "0x0f", "tcp", None])
    assert are_noted_numbers(cells, ".").to_list() == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("columns", "separator", "sign"),
    [
        ({"a": ["0,5", "1,25"]}, ";", ","), ({"a": ["1,234"]}, ";", ","), ({"a": ["1,234"]}, ",", "."),
        ({"a": ["1,234"], "b": ["0.5"]}, ";", "."), ({"a": ["1.234,5"], "b": ["x"]}, "\t", ","),
        ({"a": ["7"], "b": ["1.5"]}, ";", "."), ({"a": ["10.0.0.1"], "b": ["31.12.2026"]}, ";", "."),
        ({"a": ["0,5"], "b": ["1.5"], "c": ["2.5"]}, ";", "."),
    ],
)  # fmt: skip
def test_the_decimal_sign_is_that_of_most_columns(columns, separator, sign):
    rows = max(map(len, columns.values()))
    frame = pl.DataFrame({name: cells + [None] * (rows - len(cells)) for name, cells in columns.items()})
    assert decimal_sign(frame, separator) == sign
