"""What all sections of a production config share."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number of seconds, or a duration such as 90s, 15m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2]]


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
Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
