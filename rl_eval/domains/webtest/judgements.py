"""Judgements of people about reported failures: keep or dismiss, by kind and site."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rl_eval.errors import InputError
from rl_eval.run import SCHEMA, read_json, write_json

FILE = "judgements.json"
Judgement = Literal["keep", "dismiss"]


def read_judgements(path: Path) -> dict[str, Judgement]:
    """Kind and site of a failure -> the judgement of a person.

    Raises:
        InputError: the file does not exist, or is damaged.
    """
    judgements = {site: value for site, value in read_json(path).items() if site != "schema"}
    if any(value not in ("keep", "dismiss") for value in judgements.values()):
        raise InputError(f"{path} has a judgement that is neither keep nor dismiss: correct or remove it")
    return judgements


def add_judgement(path: Path, site: str, judgement: Judgement) -> None:
    """Store the judgement of a person."""
    before = read_judgements(path) if path.exists() else {}
    write_json(path, {"schema": SCHEMA, **before, site: judgement})
