"""The price list: dated rows of machines with their price per hour, their power, and where both are from.

`prices.yaml` in this folder is the one that the project ships. A list of your own has the same form; its rows come in
addition, and replace rows of the same name.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rl_eval.cost._amounts import Cost
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.untrusted_files import load_yaml, read_bounded
from rl_eval.validation_errors import config_sentence, yaml_sentence

SHIPPED = Path(__file__).with_name("prices.yaml")
MAX_BYTES = 1 << 20
Kind = Literal["owned", "on-demand", "spot"]
KINDS: tuple[str, ...] = get_args(Kind)
# Words that make another model of a name that they follow.
_VARIANTS = ("ti", "super", "laptop", "max", "mobile")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Purchase(_Strict):
    """What an owned machine cost, and over how many hours of use that is spread."""

    price: float = Field(gt=0)
    hours: float = Field(gt=0)


class MachinePrice(_Strict):
    """One row.

    Attributes:
        kind: of an owned machine the price per hour is what it cost, spread over its hours, and its electricity.
        gpu: the model of its GPU, such as `RTX 3070`, where the row is the price of one GPU; None: of a whole machine.
        price_per_hour: None: not known.
        watts: rated power, of a GPU only the board's; None: not known.
    """

    kind: Kind
    gpu: str | None = None
    price_per_hour: float | None = Field(None, gt=0)
    purchase: Purchase | None = None
    watts: float | None = Field(None, gt=0)
    date: datetime.date
    source: str = Field(min_length=1, max_length=500)
    watts_source: str | None = Field(None, max_length=500)

    @model_validator(mode="after")
    def _one_price(self) -> MachinePrice:
        if self.purchase is not None and (self.price_per_hour is not None or self.kind != "owned"):
            raise ValueError("purchase is for an owned machine without price_per_hour: give one of them")
        return self


class _Electricity(_Strict):
    price_per_kwh: float = Field(gt=0)
    date: datetime.date
    source: str


class _File(_Strict):
    currency: str = Field(pattern="^[A-Z]{3}$")
    electricity: _Electricity | None = None
    machines: dict[str, MachinePrice]


@dataclass(frozen=True)
class Rate:
    """What an hour of a machine costs.

    Attributes:
        machine: its row in the price list; None: not named.
        share: the part of the machine that the work holds; of a row for one GPU, how many GPUs.
        price_per_hour: of the whole machine; None: unknown.
        watts: of the whole machine; None: unknown.
    """

    machine: str | None = None
    kind: str | None = None
    gpu: str | None = None
    price_per_hour: float | None = None
    watts: float | None = None
    currency: str | None = None
    date: str | None = None
    source: str | None = None
    share: float = 1.0

    def cost(self, seconds: float) -> Cost:
        """The cost of work that takes some seconds."""
        machine_s = seconds * self.share
        hours = machine_s / 3600
        return Cost(
            machine_s=machine_s,
            energy_wh=None if self.watts is None else self.watts * hours,
            money=None if self.price_per_hour is None else self.price_per_hour * hours,
            currency=None if self.price_per_hour is None else self.currency,
        )


@dataclass(frozen=True)
class PriceList:
    """The rates of machines by name."""

    rates: dict[str, Rate]

    def rate(self, machine: str) -> Rate:
        """The rate of a machine.

        Raises:
            InputError: the list has no such row.
        """
        if machine not in self.rates:
            raise InputError(
                f"{brief(machine, 60)!r} is not in the price list: {nearest(machine, list(self.rates))}it has "
                f"{', '.join(self.rates)}; or add a row in your own list with hardware.prices=FILE"
            )
        return self.rates[machine]


def read_prices(own: Path | str | None = None) -> PriceList:
    """The shipped price list, with the rows of a list of your own.

    Raises:
        InputError: the own list cannot be read, or has another form.
    """
    rates = _rates(SHIPPED)
    if own is not None:
        rates |= _rates(Path(own))
    return PriceList(rates)


def _rates(file: Path) -> dict[str, Rate]:
    try:
        _, values = load_yaml(read_bounded(file, MAX_BYTES).decode())
        content = _File.model_validate(values)
    except FileNotFoundError as error:
        raise InputError(f"the price list {file} does not exist: name one with hardware.prices=FILE") from error
    except (OSError, UnicodeDecodeError, OverflowError) as error:
        raise InputError(f"the price list {file} cannot be read ({error})") from error
    except yaml.YAMLError as error:
        line, sentence = yaml_sentence(error)
        raise InputError(f"{file}{f':{line}' if line else ''}: {sentence}") from error
    except ValidationError as error:
        sentence = config_sentence(error, values if isinstance(values, dict) else {}, allowed=_File.model_fields)
        raise InputError(f"{file} is not a price list ({sentence}): see docs/scale.md") from error
    electricity = content.electricity.price_per_kwh if content.electricity else None
    return {name: _rate(name, row, content.currency, electricity) for name, row in content.machines.items()}


def _rate(name: str, row: MachinePrice, currency: str, electricity: float | None) -> Rate:
    price = row.price_per_hour
    if row.purchase is not None and row.watts is not None and electricity is not None:
        price = row.purchase.price / row.purchase.hours + row.watts / 1000 * electricity
    return Rate(name, row.kind, row.gpu, price, row.watts, currency, row.date.isoformat(), row.source)


def chosen_machine(prices: PriceList, machine: str | None, gpu: str | None) -> Rate:
    """The rate of the machine that a config names.

    Args:
        machine: the name of a row, or a kind: then the row of that kind for the GPU that is there; None: not named.
        gpu: the name of the GPU that is used, as its driver gives it; None: no GPU.

    Raises:
        InputError: the list has no such row.
    """
    if machine is None:
        return Rate()
    if machine not in KINDS:
        return prices.rate(machine)
    if gpu is None:
        raise InputError(
            f"hardware.machine={machine} is only for runs on a GPU, whose model selects the row of the price list: "
            "name a machine of the list"
        )
    for rate in prices.rates.values():
        if rate.kind == machine and rate.gpu is not None and matches_gpu(rate.gpu, gpu):
            return rate
    raise InputError(
        f"hardware.machine={machine}: the price list has no {machine} row for the GPU {brief(gpu, 60)}: add one in "
        "your own list with hardware.prices=FILE"
    )


def matches_gpu(model: str, name: str) -> bool:
    """Whether `NVIDIA GeForce RTX 3070` is a `RTX 3070`; a `RTX 3070 Ti` is not."""
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word not in ("nvidia", "geforce", "tesla")]
    wanted = re.split(r"[\s-]+", model.lower())
    rest = words[len(wanted) :]
    return words[: len(wanted)] == wanted and (not wanted or rest[:1] == [] or rest[0] not in _VARIANTS)
