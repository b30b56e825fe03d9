"""`check_config`: what a config names outside itself is there, before anything is trained for hours in vain."""

from __future__ import annotations

from pydantic import ValidationError

from rl_eval import domains, gates
from rl_eval.cost import chosen_machine, read_prices
from rl_eval.errors import InputError
from rl_eval.production.config import ProductionConfig
from rl_eval.production.serving_cost import rate_of
from rl_eval.validation_errors import config_sentence


def check_config(config: ProductionConfig) -> None:
    """Read the suites, the reference environment and the price list that a config names.

    Raises:
        InputError: one of them is missing or not valid.
    """
    for file in config.proof.suites:
        try:
            gates.load_suite(config.directory / file, trust=config.serve.trust)
        except InputError as error:
            raise InputError(f"proof.suites: {error}") from error
    try:
        if config.loop.reference is not None:
            domains.validate(config.loop.reference)
    except ValidationError as error:
        raise InputError(config_sentence(error, config.loop.reference or {}, "loop.reference")) from error
    except InputError as error:
        raise InputError(f"loop.reference: {error}") from error
    try:
        chosen_machine(read_prices(), config.loop.machine, None)
    except InputError as error:
        raise InputError(f"loop.machine: {error}") from error
    rate_of(config.serve)
