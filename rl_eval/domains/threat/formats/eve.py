"""Which events of Suricata's EVE are flows to decide on, and whether an alert was raised for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from rl_eval.domains.threat.formats.json_lines import EVENT
from rl_eval.domains.threat.formats.sheet import Sheet
from rl_eval.errors import InputError

ALERT = "alert"  # the column that says whether Suricata raised one: 1 or 0
_FLOWS = ("flow", "netflow")
_ALERT_FACTS = ("alert.signature", "alert.category", "alert.severity")
_ALERTED = "flow.alerted"


def events_of(sheet: Sheet, label: str | None) -> tuple[str, ...]:
    """The types of events that are rows: flows, or those that have the label.

    Raises:
        InputError: no event has the label.
    """
    kinds = sheet.text(EVENT)
    if label in (None, ALERT):
        flows = tuple(kind for kind in _FLOWS if (kinds == kind).any())
        return flows[:1] or tuple(sorted(kinds.unique().to_list()))
    return tuple(sorted(kinds.filter(sheet.column(label, "env.label").is_not_null()).unique().to_list()))


def with_alerts(sheet: Sheet) -> Sheet:
    """The events with the column `alert`, and with facts of the first alert of their flow.

    An event has an alert if it is one, if Suricata says so (`flow.alerted`), or if an alert has its `flow_id`.
    """
    frame = sheet.frame
    missing = [name for name in ("flow_id", _ALERTED, *_ALERT_FACTS) if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    alerts = frame.filter(pl.col(EVENT) == "alert").unique("flow_id", keep="first", maintain_order=True)
    facts = alerts.filter(pl.col("flow_id").is_not_null()).select("flow_id", *_ALERT_FACTS)
    joined = frame.select("flow_id").join(
        facts.with_columns(pl.lit(True).alias("_alert")), on="flow_id", how="left", maintain_order="left"
    )
    alerted = joined["_alert"].fill_null(False) | (frame[_ALERTED].fill_null("") == "true") | (frame[EVENT] == "alert")
    frame = frame.with_columns(
        pl.when(pl.col(name).is_null()).then(joined[name]).otherwise(pl.col(name)).alias(name) for name in _ALERT_FACTS
    )
    frame = frame.drop(missing_or_empty(frame, missing)).with_columns(
        pl.Series(ALERT, np.where(alerted.to_numpy(), "1", "0"), pl.String)
    )
    return replace(sheet, frame=frame)


def missing_or_empty(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of the columns that have no cell."""
    return [name for name in names if frame[name].is_null().all()]


def only_events(sheet: Sheet, events: Sequence[str]) -> Sheet:
    """The rows that are events of these types, with the columns that they have.

    Raises:
        InputError: there are none.
    """
    mask = sheet.text(EVENT).is_in(list(events))
    if not mask.any():
        kinds = ", ".join(sorted(sheet.text(EVENT).unique().to_list()))
        raise InputError(f"{sheet.path} has no events of the type {' or '.join(events)}: it has {kinds}")
    frame = sheet.frame.filter(mask)
    empty = [name for name in frame.columns if frame[name].is_null().all()]
    return replace(sheet, frame=frame.drop(empty), lines=sheet.lines[mask.to_numpy()])


def says_what_alert_says(name: str) -> bool:
    """Whether a column follows from `alert`, so that it is not a feature where that is the label."""
    return name == _ALERTED or name.startswith(("alert.", "verdict."))
