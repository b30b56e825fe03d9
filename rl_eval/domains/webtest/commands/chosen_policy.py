"""Which policy explores, and how many candidates it sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval.domains.webtest.browser.episode import LARGEST
from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.observation import C, P
from rl_eval.domains.webtest.pretrained import CANDIDATES
from rl_eval.errors import InputError
from rl_eval.policy import Policy, Spaces, names_policy
from rl_eval.policy import load as load_policy
from rl_eval.run import environment_of, read_run

DEFAULT = "baseline:pretrained"
MOST_CANDIDATES = 64  # of other baselines; a trained policy has those of its training


class Chosen(NamedTuple):
    """A policy, and why it was chosen, as a sentence without its point."""

    policy: Policy
    candidates: int
    sentence: str


def choose_policy(spec: str | None, trust: bool) -> Chosen:
    """The policy that a person named, or the default.

    Raises:
        InputError: it does not exist, is of another environment, or needs trust.
    """
    candidates = CANDIDATES if spec in (None, DEFAULT) else MOST_CANDIDATES
    if spec is not None and not names_policy(spec):
        config = environment_of(read_run(spec))
        if not isinstance(config, Config):
            raise InputError(f"--policy {spec} is a run of env={config.name}: give one of env=webtest")
        candidates = config.candidates
    named = spec or DEFAULT
    space = Box(-LARGEST, LARGEST, (P + candidates * C,), np.float32)
    settings = Config(mode="browser", candidates=candidates)
    policy = load_policy(named, Spaces("webtest", space, Discrete(candidates)), settings, trust=trust)
    why = "named with --policy" if spec else "since --policy names none"
    return Chosen(policy, candidates, f"{named}, {why}")
