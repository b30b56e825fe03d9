"""One step of a config's environment, before anything is written: data, rewards, agent and metric work together."""

from __future__ import annotations

from rl_eval import domains
from rl_eval.config import RunConfig, torch_device
from rl_eval.errors import InputError
from rl_eval.metrics import list_metrics, lookup
from rl_eval.policy import Random, Spaces
from rl_eval.rewards import RewardFunction
from rl_eval.tracking import check_tracker


def dry_run(config: RunConfig) -> Spaces:
    """Make one copy of the environment and take one step.

    Returns:
        The spaces of its observations and actions.

    Raises:
        InputError: missing or damaged data, an unknown id, a reward term that reads a fact which the environment does
            not give, an agent that does not suit the environment, or a metric that cannot be computed on it.
    """
    check_tracker(config.tracker)
    torch_device(config.hardware)
    vector = domains.make(config.env, n_envs=1, part="train")
    obs, infos = vector.reset(seed=0)
    vector.action_space.seed(0)
    mask = infos.get("action_mask")
    random = Random(vector.single_action_space, seed=0)
    actions = vector.action_space.sample() if mask is None else random.act(obs, False, mask)
    _, _, _, _, infos = vector.step(actions)
    RewardFunction.from_config(config.reward["terms"])(infos["outcome"])
    vector.close()
    spaces = Spaces.of(config.env, vector)
    longest_episode = domains.domain(config.env.name).longest_episode(config.env)
    if longest_episode is None and vector.spec:
        longest_episode = vector.spec.max_episode_steps
    try:
        config.agent.check(spaces.observation, spaces.action, longest_episode)
    except ValueError as error:
        raise InputError(str(error)) from error
    _check_metric(config)
    return spaces


def _check_metric(config: RunConfig) -> None:
    metric = lookup(config.validation.metric)
    facts = set(domains.domain(config.env.name).facts(config.env))
    if metric.kind == "task" and set(metric.needs) <= facts:
        return
    choices = [other.name for other in list_metrics() if other.kind == "task" and set(other.needs) <= facts]
    raise InputError(
        f"validation.metric={metric.name!r} cannot be computed on {config.env.name}: choose {', '.join(choices)}"
    )
