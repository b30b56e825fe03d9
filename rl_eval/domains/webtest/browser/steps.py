"""`Step`: one action as it was done, with everything that is needed to do it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Step:
    """One action.

    Attributes:
        do: `open` an address, `click` or `submit` an element, `fill` it with a value, `choose` its first or last
            option, or go `back`.
        css, nth: the element.
        value: of a field; `first` or `last` of a choice; the address that is opened.
        text: what a person reads on the element.
        url: the page that it was done on.
        secret: whether the value was given by a person for a password field, so that it is written nowhere.
    """

    do: Literal["open", "click", "submit", "fill", "choose", "back"]
    css: str = ""
    nth: int = 0
    value: str = ""
    text: str = ""
    url: str = ""
    secret: bool = False
