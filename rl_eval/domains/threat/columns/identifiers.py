"""Columns that identify rows and say nothing about others: UUIDs, numbers of flows, texts that nearly never repeat."""

from __future__ import annotations

import re

import polars as pl

from rl_eval.domains.threat.columns.numbers import is_filled
from rl_eval.formatting import percent

NEARLY_UNIQUE = 0.95  # distinct values per filled cell
MIN_ROWS = 100
MANY_VALUES = 100
_UUID = r"(?i)^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$"
_NAME = re.compile(r"(?i)(^|[ _.:-])(id|uid|guid|uuid|key)$|[a-z](Id|ID|UID|UUID)$")


def identifier_reason(name: str, series: pl.Series) -> str | None:
    """Why a text column identifies rows, as a few words; None where it does not."""
    filled = series.filter(is_filled(series)).str.strip_chars()
    if not len(filled):
        return None
    if filled.str.contains(_UUID).all():
        return "UUIDs"
    distinct = filled.n_unique()
    if len(filled) >= MIN_ROWS and distinct >= NEARLY_UNIQUE * len(filled):
        return f"{percent(distinct / len(filled))} distinct texts, as ids have"
    if _NAME.search(name) and distinct > MANY_VALUES:
        return f"an id by its name, with {distinct:,} distinct texts"
    return None
