"""A badge on the suites of a session: an SVG file, or JSON as the endpoint badge of shields.io reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError

LABEL = "rl_eval"
_COLOURS = {"green": "#2e7d32", "red": "#c62828"}
_LETTER, _MARGIN = 6.6, 12.0  # pixels of an average letter of 11 px Verdana, and on each side of a text
_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {message}">
<title>{label}: {message}</title>
<rect width="{width}" height="20" rx="3" fill="{colour}"/>
<path d="M3 0h{left_inner}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#444"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">
<text x="{left_middle}" y="14">{label}</text>
<text x="{right_middle}" y="14">{message}</text>
</g>
</svg>
"""


def require_badge_name(file: Path) -> None:
    """Refuse a name that does not say which kind of badge it is.

    Raises:
        InputError: it ends in neither .svg nor .json.
    """
    if file.suffix not in (".svg", ".json"):
        raise InputError(
            f"--rl-badge {file} names no kind of badge: end it in .svg for a picture, or in .json for shields.io"
        )


def write_badge(file: Path, decisions: Iterable[str]) -> None:
    """Write the badge of a session.

    Args:
        file: ends in .svg or .json.
        decisions: of each item.

    Raises:
        OSError: it cannot be written.
    """
    values = badge(decisions)
    text = json.dumps(values) + "\n" if file.suffix == ".json" else _svg(values)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def badge(decisions: Iterable[str]) -> dict[str, Any]:
    """The fields of shields.io's endpoint badge: how many criteria pass, of those that were checked."""
    counts = Counter(decisions)
    checked = sum(counts.values()) - counts["NOT_CHECKED"]
    passing = counts["PASS"]
    good = 0 < checked == passing
    message = f"{passing} of {checked} criteria pass" if checked else "not judged"
    return {"schemaVersion": 1, "label": LABEL, "message": message, "color": "green" if good else "red"}


def _svg(values: dict[str, Any]) -> str:
    left, right = (round(len(values[name]) * _LETTER + _MARGIN) for name in ("label", "message"))
    return _SVG.format(
        width=left + right,
        left_inner=left - 3,
        left_middle=left / 2,
        right_middle=left + right / 2,
        colour=_COLOURS[values["color"]],
        label=values["label"],
        message=values["message"],
    )
