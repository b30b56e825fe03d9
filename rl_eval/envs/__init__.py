"""The environments an agent can be trained and judged on, one module or package a domain.

A domain module offers, by convention:

- `Config`: a frozen pydantic model with a `name` field; its defaults are those of `conf/env/<name>.yaml`.
- `make(config, *, n_envs, part, autoreset) -> gymnasium.vector.VectorEnv`, whose `infos["outcome"]` is a
  dict of arrays `[N]` on every step. `autoreset=True` is Gymnasium's SAME_STEP with `infos["final_obs"]`
  (array `[N, ...]`, valid where the mask `infos["_final_obs"]` is set). `autoreset=False` is DISABLED:
  a finished copy stays idle until `reset(options={"reset_mask": mask})`. For `part="train"` autoreset may be
  NEXT_STEP, and `backend` says what steps the copies: `gymnasium`, `envpool`, or `native` for one that does it itself.
  Where some Discrete actions are illegal at times, `infos["action_mask"]` (bool `[N, A]`, on reset and on every step)
  says which are legal in the observations returned, and `infos["final_action_mask"]` the same of `final_obs`.
- `OUTCOME`: the names in the outcome.
- `select_metric(config)`: the task metric that chooses between snapshots where the run's config names none.
- `BASELINES`: name -> `build(config) -> Policy`, the policies that `baseline:<name>` can name.
- `gate_episodes(config) -> int | None`, `select_episodes` likewise: how many episodes that finite part
  holds; None: endless.
  An environment with a finite set reads `options["episode"]` (array `[N]`, the index of the episode each
  copy is to play) and `options["order"]` (the seed of the permutation) on reset.
- `gate_cases(config) -> int`, `longest_episode(config) -> int`, `independent_cases(config) -> bool`,
  `cost_bounds(config) -> (low, high)`, where steps are cases to decide on: how many the gate part holds, the most
  in one episode, whether decisions on them are independent of one another, and what one can cost. Evidence over
  single cases needs these; without them its unit is the episode.
- `case_hashes(config, part) -> uint64 [R]`, where the data is a finite set of cases: one a case, equal where all of
  its features are equal; `case_observations(config, part) -> [R, D]` in the same order. The held-out guard compares
  them between the parts. Without them it compares the episodes' first observations. `CASE` names the outcome that
  numbers them, where a metric stays what it is when single cases are left out.
- `preprocessing(config) -> dict`, where there is any: what was fitted on the training part, as JSON.
- `fingerprints(config) -> dict[str, str]`: part -> hash of its data; empty where there is none.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from rl_eval.errors import InputError, nearest

if TYPE_CHECKING:
    import gymnasium

    from rl_eval.envs.base import EnvConfig

Part = Literal["train", "select", "gate"]

DOMAINS = {
    "threat": "rl_eval.envs.threat",
    "qase": "rl_eval.envs.qase",
    "lunarlander": "rl_eval.envs.lunarlander",
    "cartpole": "rl_eval.envs.cartpole",
    "gym": "rl_eval.envs.gym",
}


def domain(name: str) -> ModuleType:
    """The module of a named environment.

    Raises:
        InputError: there is no such environment.
    """
    if name not in DOMAINS:
        raise InputError(
            f"env={name!r} is not an environment: {nearest(name, DOMAINS)}the environments are "
            f"{', '.join(DOMAINS)}; any Gymnasium id goes through env=gym env.id=..."
        )
    return importlib.import_module(DOMAINS[name])


def validate(values: Mapping[str, Any]) -> EnvConfig:
    """The checked config of an environment, from a mapping with `name` and any of its keys.

    Raises:
        InputError: unknown environment.
        pydantic.ValidationError: a key or value that the environment does not have.
    """
    return domain(values.get("name", "gym")).Config.model_validate(dict(values))


def needs_trust(config: EnvConfig) -> str | None:
    """What a config of somebody else may do only with `--trust`, as the beginning of a sentence; None: nothing."""
    if ":" in (env_id := str(getattr(config, "id", ""))):
        return f"env.id={env_id!r} imports a module"
    base_url = getattr(config, "base_url", None)
    return None if base_url is None else f"env.base_url={base_url!r} is where requests would go"


def make(config: EnvConfig, *, n_envs: int, part: Part, autoreset: bool = True) -> gymnasium.vector.VectorEnv:
    """N copies of an environment, stepped as one, over one part of its data."""
    return domain(config.name).make(config, n_envs=n_envs, part=part, autoreset=autoreset)


def episodes_in(config: EnvConfig, part: Part) -> int | None:
    """How many episodes a part of the environment's data holds; None where there is no end."""
    module = domain(config.name)
    return module.gate_episodes(config) if part == "gate" else module.select_episodes(config)
