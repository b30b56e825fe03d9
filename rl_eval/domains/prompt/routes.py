"""What the policy server offers for prompts: `/mutate` applies an action, `/score` asks the reward model."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.environment.dataset import load_reward_model, load_tasks
from rl_eval.domains.prompt.environment.observer import require_prompt
from rl_eval.domains.prompt.environment.plain_features import prompt_features
from rl_eval.domains.prompt.environment.vector import shown_masks
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.domains.prompt.text import mutations
from rl_eval.domains.prompt.text.mutations import MAX_PROMPT_BYTES, MUTATIONS
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT_BYTES)]
TaskName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class MutateBody(BaseModel):
    """What `POST /mutate` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: Text
    action: int = Field(ge=0, le=len(MUTATIONS), description="As /select_action gives it.")
    task: TaskName | None = Field(None, description="The name of a task; examples and labels come from it.")


class ScoreBody(BaseModel):
    """What `POST /score` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: Text
    task: TaskName | None = Field(None, description="The name of the task that the prompt is for.")


class MutateAnswer(BaseModel):
    """A prompt after an action."""

    prompt: str
    mask: list[bool] | None = Field(description="Which actions are legal now; null where the run has no masks.")
    changed: bool


class ScoreAnswer(BaseModel):
    """A score by the reward model, in nats."""

    reward: float = Field(description="Up to a constant: differences between prompts of one start count.")


def router(config: Config) -> APIRouter:
    """The routes for a config; tasks and reward model are loaded by the first request that needs them."""
    routes = APIRouter()

    @routes.post("/mutate")
    def mutate(body: MutateBody) -> MutateAnswer:
        """Apply an action to a prompt; stopping changes nothing."""
        require_prompt(body.prompt)
        task = _task(config, body.task)
        actions = len(MUTATIONS) + config.stop
        if body.action >= actions:
            raise InputError(
                f"action={body.action} is none of this policy: give a whole number from 0 to {actions - 1}"
            )
        prompt = body.prompt
        if body.action < len(MUTATIONS):
            prompt = mutations.mutate(prompt, MUTATIONS[body.action], task)
        mask = None
        if config.masks:
            mask = shown_masks(np.array([mutations.legal(prompt, task)], bool), config)[0].tolist()
        return MutateAnswer(prompt=prompt, mask=mask, changed=prompt != body.prompt)

    @routes.post("/score")
    def score(body: ScoreBody) -> ScoreAnswer:
        """The score of a prompt by the reward model that the policy was trained on."""
        require_prompt(body.prompt)
        features = prompt_features(body.prompt, _task(config, body.task)).astype(np.float64)
        return ScoreAnswer(reward=float(load_reward_model(config).score(features)))

    return routes


def _task(config: Config, name: str | None) -> Task | None:
    if name is None:
        return None
    tasks = load_tasks(config)
    if name not in tasks:
        raise InputError(
            f"task={brief(repr(name), 80)} is none of this policy: {nearest(name, tasks)}the tasks are "
            f"{', '.join(tasks)}"
        )
    return tasks[name]
