"""What the policy server offers for prompts: `/mutate` applies an action, `/score` asks the reward model."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.environment.dataset import load_reward_model
from rl_eval.domains.prompt.environment.observer import applied_mutations, known_task, legal_actions, require_prompt
from rl_eval.domains.prompt.environment.plain_features import prompt_features
from rl_eval.domains.prompt.text import mutations
from rl_eval.domains.prompt.text.mutations import MUTATIONS, max_bytes
from rl_eval.errors import InputError

Text = Annotated[str, StringConstraints(min_length=1, max_length=max_bytes(len(MUTATIONS)))]
TaskName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Applied = Annotated[list[Annotated[int, Field(ge=0, lt=len(MUTATIONS))]], Field(max_length=len(MUTATIONS))]


ACTION_NAMES = (*MUTATIONS, "stop")


def _action(value: Any) -> Any:
    """The number of an action that is named."""
    if not isinstance(value, str):
        return value
    if value not in ACTION_NAMES:
        raise ValueError(f"must be a whole number from 0 to {len(MUTATIONS)}, or one of {', '.join(ACTION_NAMES)}")
    return ACTION_NAMES.index(value)


_ACTION_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": len(MUTATIONS)}, {"enum": [*ACTION_NAMES]}]}
Action = Annotated[int, Field(ge=0, le=len(MUTATIONS)), BeforeValidator(_action), WithJsonSchema(_ACTION_SCHEMA)]


class MutateBody(BaseModel):
    """What `POST /mutate` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: Text
    action: Action = Field(description="As /select_action gives it, or its name.")
    task: TaskName | None = Field(None, description="The name of a task; examples and labels come from it.")
    applied: Applied = Field([], description="Mutations that made the prompt of its start; from the last answer.")


class ScoreBody(BaseModel):
    """What `POST /score` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: Text
    task: TaskName | None = Field(None, description="The name of the task that the prompt is for.")
    applied: Applied = Field([], description="Mutations that made the prompt of its start.")


class MutateAnswer(BaseModel):
    """A prompt after an action."""

    prompt: str
    mask: list[bool] | None = Field(description="Which actions are legal now; null if the run has no masks.")
    changed: bool
    applied: list[int] = Field(description="Mutations that made this prompt of its start, for the next request.")


class ScoreAnswer(BaseModel):
    """A score by the reward model, in nats."""

    reward: float = Field(description="Up to a constant: differences between prompts of one start count.")


def router(config: Config) -> APIRouter:
    """The routes for a config; tasks and reward model are loaded by the first request that needs them."""
    routes = APIRouter()

    @routes.post("/mutate")
    def mutate(body: MutateBody) -> MutateAnswer:
        """Apply an action to a prompt; stopping changes nothing."""
        applied = applied_mutations(body.applied)
        require_prompt(body.prompt, int(applied.sum()))
        task = known_task(config, body.task)
        actions = len(MUTATIONS) + config.stop
        if body.action >= actions:
            raise InputError(
                f"action={body.action} is not an action of this policy: give a whole number from 0 to {actions - 1}, "
                f"or one of {', '.join(ACTION_NAMES[:actions])}"
            )
        prompt = body.prompt
        if body.action < len(MUTATIONS):
            prompt = mutations.mutate(prompt, MUTATIONS[body.action], task)
            applied[body.action] |= prompt != body.prompt
            require_prompt(prompt, int(applied.sum()))  # what this answers can be sent to any route
        mask = legal_actions(prompt, task, applied, config).tolist() if config.masks else None
        changed = prompt != body.prompt
        return MutateAnswer(prompt=prompt, mask=mask, changed=changed, applied=applied.nonzero()[0].tolist())

    @routes.post("/score")
    def score(body: ScoreBody) -> ScoreAnswer:
        """The score of a prompt by the reward model that the policy was trained on."""
        require_prompt(body.prompt, len(set(body.applied)))
        features = prompt_features(body.prompt, known_task(config, body.task)).astype(np.float64)
        return ScoreAnswer(reward=float(load_reward_model(config).score(features)))

    return routes
