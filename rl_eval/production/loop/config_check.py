"""`check_config`: what a config names outside itself is there, before anything is trained for hours in vain.

`check_champion`: it fits the champion.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from rl_eval import domains, gates
from rl_eval.errors import InputError
from rl_eval.production.canary.opening import registry_of
from rl_eval.production.config import ProductionConfig
from rl_eval.production.registered_policy import load_policy, require_features
from rl_eval.production.registry import CHAMPION, MissingRegistryError
from rl_eval.production.registry.artefact import read_owner_key
from rl_eval.production.serving_cost import rate_of, rate_of_machine
from rl_eval.validation_errors import config_sentence


def check_config(config: ProductionConfig) -> None:
    """Read the suites, the reference environment, the owner's key and the price list that a config names.

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
    if config.registry.key_file is not None:
        read_owner_key(config.directory / config.registry.key_file)
    rate_of_machine(config.loop.machine, "loop.machine")
    rate_of(config.serve)


def check_champion(config: ProductionConfig) -> None:
    """Load the champion, where there is one, and compare the features that the config names with its observations.

    Raises:
        InputError: it has others, or cannot be served.
    """
    with contextlib.closing(registry_of(config, create=False)) as registry:
        try:
            number = registry.aliases().get(CHAMPION)
        except MissingRegistryError:
            return
        if number is None:
            return
        with TemporaryDirectory(prefix="rl_eval-version-", ignore_cleanup_errors=True) as folder:
            source = load_policy(registry, number, Path(folder) / "version", trust=config.serve.trust)
    try:
        require_features(config, source)
    except InputError as error:
        raise InputError(f"version {number}, the champion, does not fit this config: {error}") from error
