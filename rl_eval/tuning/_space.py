"""What a search varies: keys of a config, each with its values, in the grammar of Hydra's sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rl_eval.command_line import read_overrides
from rl_eval.dotted_keys import flatten
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.untrusted_files import load_yaml

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SHIPPED = Path(__file__).with_name("spaces.yaml")
TAGS = ("log", "complement")


@dataclass(frozen=True)
class Dimension:
    """The values of one key.

    Attributes:
        key: dotted, as in an override.
        low, high: of numbers, both included.
        step: between whole numbers.
        tag: `log`: even in the logarithm; `complement`: even in that of the distance to 1.
        choices: the texts of overrides, of a choice.
    """

    key: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    tag: Literal["", "log", "complement"] = ""
    choices: tuple[str, ...] = ()

    def distribution(self) -> BaseDistribution:
        """As Optuna takes it; of `complement` it is that of the distance to 1."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution(self.choices)
        if self.kind == "int":
            return IntDistribution(int(self.low), int(self.high), log=self.tag == "log", step=self.step)
        if self.tag == "complement":
            return FloatDistribution(1 - self.high, 1 - self.low, log=True)
        return FloatDistribution(self.low, self.high, log=self.tag == "log")

    def override(self, value: Any) -> str:
        """The override that sets the key to a value that Optuna chose."""
        value = 1 - value if self.tag == "complement" else value
        return f"{self.key}={value if isinstance(value, str) else repr(value)}"


def read_space(overrides: Sequence[str]) -> tuple[list[Dimension], list[str]]:
    """The keys that overrides vary, and the overrides that vary nothing.

    Raises:
        InputError: one cannot be read, or has values that cannot be searched.
    """
    dimensions, fixed = [], []
    for text, parsed in zip(overrides, read_overrides(overrides), strict=True):
        if parsed.is_sweep_override():
            dimensions.append(_dimension(parsed, text))
        else:
            fixed.append(text)
    keys = [dimension.key for dimension in dimensions]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InputError(f"{twice[0]} is searched twice: name its values once")
    return dimensions, fixed


def _dimension(parsed: Any, text: str) -> Dimension:
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

    value, key, shown = parsed.value(), parsed.key_or_group, brief(text, 200)
    tags = set(getattr(value, "tags", ()))  # a glob has none
    if not tags <= set(TAGS) or len(tags) > 1:
        raise InputError(f"{shown}: the tag of a key is {' or '.join(TAGS)}")
    tag: Any = next(iter(tags), "")
    if isinstance(value, ChoiceSweep) and not tag:
        choices = tuple(Override._get_value_element_as_str(element) for element in value.list)
        return Dimension(key, "choice", choices=choices)
    whole = isinstance(value, IntervalSweep) and isinstance(value.start, int) and isinstance(value.end, int)
    if isinstance(value, RangeSweep) and not tag and value.step and value.step > 0:
        numbers = list(value.range())
        if numbers and all(isinstance(number, int) for number in numbers):
            return Dimension(key, "int", numbers[0], numbers[-1], step=int(value.step))
        return Dimension(key, "choice", choices=tuple(map(str, numbers)))
    if not isinstance(value, IntervalSweep) or value.start is None or value.end is None:
        raise InputError(
            f"{shown} cannot be searched: give values, interval(low, high) or tag(log, interval(low, high))"
        )
    if not value.start < value.end or (tag == "log" and value.start <= 0):
        raise InputError(
            f"{shown}: the lower end of an interval is below the upper one{', and above 0' if tag else ''}"
        )
    if tag == "complement" and (whole or not 0 <= value.start < value.end < 1):
        raise InputError(f"{shown}: the ends of complement are from 0 to below 1, such as interval(0.9, 0.999)")
    return Dimension(key, "int" if whole else "float", value.start, value.end, tag=tag)


def default_space(agent: str, config: Mapping[str, Any]) -> list[Dimension]:
    """What is searched for an agent where nothing is named.

    Args:
        config: the composed one; a discount that is 0 there is left as it is.

    Raises:
        InputError: the agent has no space of its own.
    """
    _, spaces = load_yaml(SHIPPED.read_text(encoding="utf-8"))
    if agent not in spaces:
        raise InputError(
            f"agent={agent} has no default keys to search: give some with their values, such as "
            "'lr=tag(log,interval(1e-4,1e-2))'"
        )
    dimensions, _ = read_space(spaces[agent])
    values = flatten(dict(config))
    return [one for one in dimensions if not (one.tag == "complement" and values.get(one.key) == 0)]
