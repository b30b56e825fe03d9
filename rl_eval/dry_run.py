"""One step of a config's environment, before anything is written: data, rewards, agent and metric work together."""

from __future__ import annotations

from dataclasses import dataclass

from gymnasium.spaces import flatdim
from gymnasium.vector import VectorEnv

from rl_eval import domains, memory
from rl_eval.config import RunConfig
from rl_eval.dotted_keys import flatten
from rl_eval.envs.returned_values import VectorChecks
from rl_eval.errors import InputError, failure
from rl_eval.machine import check_machine
from rl_eval.metrics import list_metrics, lookup
from rl_eval.policy import Random, Spaces
from rl_eval.rewards import RewardFunction
from rl_eval.tracking import check_tracker

PYTHON_COPY_BYTES = 3_000  # of a small environment in Python with its wrappers; measured
FLOAT_BYTES = 4


@dataclass(frozen=True)
class FirstStep:
    """What one step of an environment shows.

    Attributes:
        longest_episode: the most steps of an episode, where that is known.
        copy_bytes: memory that a copy of the environment takes, at least.
    """

    spaces: Spaces
    longest_episode: int | None
    copy_bytes: int = 0


def dry_run(config: RunConfig) -> Spaces:
    """Make one copy of the environment, take one step, and check the rest of the config with it.

    Returns:
        The spaces of its observations and actions.

    Raises:
        InputError: as `first_step` and `check`.
    """
    step = first_step(config)
    check(config, step)
    return step.spaces


def first_step(config: RunConfig) -> FirstStep:
    """One step of the environment and the reward of a config.

    Raises:
        InputError: missing or damaged data, an unknown id, an environment that fails or returns something else than
            `Domain.make` says, or a reward term that reads a fact which the environment does not give.
    """
    try:
        vector, longest_episode = _one_step(config)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # environments may be foreign code
        raise InputError(f"env={config.env.name} failed in its first step with {failure(error)}") from error
    is_python = getattr(vector, "backend", "native") == "gymnasium"
    copy_bytes = PYTHON_COPY_BYTES if is_python else 3 * FLOAT_BYTES * flatdim(vector.single_observation_space)
    return FirstStep(Spaces.of(config.env, vector), longest_episode, copy_bytes)


def check(config: RunConfig, step: FirstStep) -> None:
    """Whether the rest of a config suits its environment.

    Raises:
        InputError: a tracker, device or price that is not there, an agent that does not suit the environment, a metric
            that cannot be computed on it, or more memory than there is.
    """
    check_tracker(config.tracker)
    check_machine(config.hardware)
    try:
        config.agent.check(step.spaces.observation, step.spaces.action, step.longest_episode)
    except ValueError as error:
        raise InputError(str(error)) from error
    facts = domains.domain(config.env.name).facts(config.env)
    if missing := set(getattr(config.agent, "facts", ())) - set(facts):
        raise InputError(
            f"agent={config.agent.name} learns from the fact {min(missing)!r}, which env={config.env.name} does not "
            "have: remove the key that needs it"
        )
    _check_metric(config)
    _check_memory(config, step)


def _one_step(config: RunConfig) -> tuple[VectorEnv, int | None]:
    """The closed vector after one step, and the most steps of an episode, where that is known."""
    domain = domains.domain(config.env.name)
    vector = domain.make(config.env, n_envs=1, part="train")
    if not isinstance(vector, VectorEnv) or vector.num_envs != 1:
        made = f"{vector.num_envs} copies" if isinstance(vector, VectorEnv) else type(vector).__name__
        raise InputError(f"env={config.env.name} made {made}: it must make a gymnasium.vector.VectorEnv of 1 copy")
    checks = VectorChecks(vector)
    obs, infos = vector.reset(seed=0)
    checks.reset(obs, infos)
    vector.action_space.seed(0)
    mask = infos.get("action_mask")
    random = Random(vector.single_action_space, seed=0)
    actions = vector.action_space.sample() if mask is None else random.act(obs, False, mask)
    obs, rewards, terminated, truncated, infos = vector.step(actions)
    checks.step(obs, rewards, terminated, truncated, infos)
    outcome = infos["outcome"]
    if missing := set(domain.facts(config.env)) - {*outcome, *domain.held_out_facts}:
        raise InputError(f"env={config.env.name} lists the fact {min(missing)!r}, but infos['outcome'] has none")
    RewardFunction.from_config(config.reward["terms"])(outcome)
    vector.close()
    longest_episode = domain.longest_episode(config.env)
    if longest_episode is None and vector.spec:
        longest_episode = vector.spec.max_episode_steps
    return vector, longest_episode


def _check_metric(config: RunConfig) -> None:
    metric = lookup(config.validation.metric)
    facts = set(domains.domain(config.env.name).facts(config.env))
    if metric.kind == "task" and set(metric.needs) <= facts:
        _check_trials(config)
        return
    choices = [other.name for other in list_metrics() if other.kind == "task" and set(other.needs) <= facts]
    raise InputError(
        f"validation.metric={metric.name!r} cannot be computed on {config.env.name}: choose {', '.join(choices)}"
    )


def _check_trials(config: RunConfig) -> None:
    trials, domain = config.validation.trials, domains.domain(config.env.name)
    if not trials:
        return
    if domain.earlier_splits(config.env, trials) is None:
        raise InputError(
            f"validation.trials={trials} needs data in order of time, and env={domain.name} has none: use 0"
        )
    if lookup(config.validation.metric).variable is None:
        raise InputError(
            f"validation.trials={trials} needs a metric with a value for each episode, and {config.validation.metric} "
            "has none: use another validation.metric"
        )


def _check_memory(config: RunConfig, step: FirstStep) -> None:
    parts = {"agent.n_envs": config.agent.n_envs * step.copy_bytes}
    if hasattr(config.agent, "memory"):
        parts |= config.agent.memory(step.spaces.observation, step.spaces.action)
    values = flatten({"agent": config.to_dict()["agent"]})

    def label(keys: str) -> str:
        return " x ".join(f"{key}={str(values[key]).replace(' ', '')}"[:100] for key in keys.split(" x "))

    memory.require({label(keys): size for keys, size in parts.items()})
