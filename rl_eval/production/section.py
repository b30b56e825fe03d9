"""What all sections of a production config share."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

MAX_SECONDS = 10 * 365 * 86_400.0
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")


class Section(BaseModel):
    """A section of the config: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def seconds(value: Any) -> float:
    """A duration: a number of seconds, or a text such as `90s`, `15m`, `24h`, `7d`.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _possible(float(value))
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number of seconds, or a duration such as 90s, 15m, 24h or 7d")
    return _possible(float(match[1]) * _UNITS[match[2]])


def _possible(duration: float) -> float:
    if not 0 < duration <= MAX_SECONDS:
        raise ValueError(f"must be above 0s and at most {duration_text(MAX_SECONDS)}, not {duration_text(duration)}")
    return duration


def duration_text(duration: float) -> str:
    """As a config may have it: `90s`, `24h`, `7d`; the largest unit that it is a whole number of."""
    unit = next((unit for unit in ("d", "h", "min") if duration and duration % _UNITS[unit] == 0), "s")
    return f"{duration / _UNITS[unit]:g}{unit}"


def path_text(text: str) -> str:
    """A path that a file system can hold.

    Raises:
        ValueError: it is empty or too long, or has control characters or half of a surrogate pair.
    """
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("must be the path of a file or folder, without control characters")
    parts = text.encode().split(b"/")
    if not 1 <= len(text.encode()) <= 1000 or max(map(len, parts)) > 255:
        raise ValueError("must be the path of a file or folder: at most 1,000 bytes, and 255 between two slashes")
    return text


FileName = Annotated[str, AfterValidator(path_text)]
Duration = Annotated[float, BeforeValidator(seconds)]
