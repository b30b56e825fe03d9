"""The machine that a run is trained on: what it costs, and whether its devices and its price are there."""

from __future__ import annotations

from rl_eval.config import Hardware, torch_device
from rl_eval.cost import Budget, Rate, chosen_machine, read_prices
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra


def check_machine(hardware: Hardware) -> None:
    """Check everything that the hardware group names.

    Raises:
        InputError: a device that is not there, a machine without a row in the price list, or a budget of money where
            the price is not known.
    """
    torch_device(hardware)
    for device in hardware.devices:
        try:
            torch_device(hardware.model_copy(update={"device": device}))
        except InputError as error:
            reason = str(error).removeprefix(f"hardware.device={device}, but ").partition(":")[0]
            raise InputError(
                f"hardware.devices names {device}, but {reason}: name the devices that are there"
            ) from error
    if hardware.machine is None and hardware.prices is None and hardware.budget is None:
        return
    for device in hardware.devices or (hardware.device,):
        rate = machine_rate(hardware.model_copy(update={"device": device}))
        if hardware.budget is not None:
            currency = None if rate.price_per_hour is None else rate.currency
            Budget.parse(hardware.budget).require_currency(currency)


def machine_rate(hardware: Hardware, jobs_at_once: int = 1) -> Rate:
    """What an hour of this machine costs.

    Args:
        jobs_at_once: how many jobs of a sweep share the machine; a row for one GPU is for one job, or
            for one rank of it.

    Raises:
        InputError: the price list has no such machine.
    """
    if hardware.machine is None and hardware.prices is None:
        rate = Rate()
    else:
        rate = chosen_machine(read_prices(hardware.prices), hardware.machine, _gpu(torch_device(hardware)))
    share = float(hardware.ranks) if rate.gpu is not None else 1.0 / jobs_at_once
    return Rate(**{**vars(rate), "share": share})


def _gpu(device: str) -> str | None:
    """The model of a CUDA device, as its driver names it."""
    if not device.startswith("cuda"):
        return None
    with imports_of_extra("train", "the name of a GPU"):
        import torch

    return torch.cuda.get_device_name(device)
