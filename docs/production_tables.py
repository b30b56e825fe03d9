"""The page of docs/reference/ on the config and the metrics of production."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from conf_tables import code, table
from pydantic import BaseModel

from rl_eval.cost import Cost
from rl_eval.production.config import ProductionConfig
from rl_eval.production.quality import REASONS
from rl_eval.production.queues import open_queue
from rl_eval.production.server.arms import Arms
from rl_eval.production.server.metrics import families as server_families
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.production.store import Training
from rl_eval.production.watch.figures import Figures
from rl_eval.production.watch.metrics import families as loop_families

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def production_page() -> str:
    """Every key of a production config, and every metric."""
    parts = [
        "# Config and metrics of production\n\n`rl-eval production check CONFIG` prints a config with its defaults. "
        "[Production](../production.md) says what it is for. Durations are seconds, or texts such as `90s`, `15m`, "
        "`24h`, `7d`.\n"
    ]
    for name, field in ProductionConfig.model_fields.items():
        if isinstance(field.default, BaseModel):
            rows = list(_rows(type(field.default), f"{name}."))
            parts.append(f"## `{name}`\n\n{_intro(type(field.default))}\n\n" + table(("key", "default", ""), rows))
    reasons = [(code(reason), text) for reason, text in REASONS.items()]
    parts.append("## Reasons of refusal\n\nOf the quality filter.\n\n" + table(("reason", "what is refused"), reasons))
    head = ("metric", "kind", "labels", "what it is")
    with tempfile.TemporaryDirectory() as folder:
        config = ProductionConfig(name="docs", directory=Path(folder))
        server = ProductionServer(config, open_queue(config.collect, config.path), b"k" * 32)
        server.followed, server.waiting = 0.0, 0
        server.current = cast(Arms, SimpleNamespace(champion=SimpleNamespace(version="1"), challenger=None, share=0.0))
        served = list(server_families(server))
        server.close()
    parts.append("## Metrics of a server\n\n`GET /metrics` of each server.\n\n" + table(head, _metrics(served)))
    figures = Figures(
        "docs", 0.0, queue_messages=0, audit_lines=0, evidence=[{"difference": 0.0}],
        thousand=Cost(1.0, None, 1.0, "USD"),
        trainings=[Training(1, "daily", "", "done", 0.0, 0.0, 0, 0, 0)],
    )  # fmt: skip
    shown = _metrics(loop_families(figures))
    parts.append("## Metrics of the loop\n\n`GET /metrics` of `rl-eval production watch`.\n\n" + table(head, shown))
    return "\n".join(parts)


def _intro(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").partition("\n")[0]


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    attributes = (inspect.getdoc(model) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    ([\w, ]+): (.*(?:\n {8,}.*)*)", attributes, re.MULTILINE)
    meanings = {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _rows(type(field.default), f"{prefix}{name}.")
            continue
        is_duration = "BeforeValidator" in repr(field.metadata) or "BeforeValidator" in repr(field.annotation)
        meaning = (field.description or meanings.get(name, "")).replace("None:", "null:")
        yield code(prefix + name), code(_default(field.default, is_duration)), meaning[:1].upper() + meaning[1:]


def _default(value: Any, is_duration: bool) -> str:
    if is_duration and isinstance(value, float):
        for size, unit in UNITS:
            if value % size == 0:
                return f"{value / size:g}{unit}"
        return f"{value:g}s"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _metrics(families: Iterable[Any]) -> list[tuple[str, str, str, str]]:
    rows = []
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(code(label) for label in family._labelnames)
        rows.append((code(name), family.type, labels, family.documentation))
    return rows
