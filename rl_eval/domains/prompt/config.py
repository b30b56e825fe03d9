"""The config of the prompt domain: tasks, scores, actions, observations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rl_eval.domains import EnvConfig
from rl_eval.domains.prompt.encoding.encoder import FittedEncoder

MUTATION_COUNT = 5
LEAST_NATS = -6.91  # below the lowest score of a language model, ln(LEAST_PROBABILITY)


class Config(EnvConfig):
    """The defaults are those of `conf/env/prompt.yaml`, key by key."""

    name: Literal["prompt"] = "prompt"
    tasks: Literal["embedded", "folder"] = Field("embedded", description="those of the package, or a folder of tasks")
    path: str | None = Field(None, description="folder: the folder of tasks, each in a folder of its own")
    scores: str | None = Field(None, description="folder: the table that `rl-eval prompt score` wrote")
    validation_tasks: tuple[str, ...] = Field((), description="folder: the tasks for model selection")
    test_tasks: tuple[str, ...] = Field((), description="folder: the tasks held out for the gate")
    feedback: str | None = Field(
        None, description="folder: the language model, as the table names it, whose scores the reward model learns"
    )
    judge: str | None = Field(None, description="folder: the language model whose scores judge; it never trains")
    stop: bool = Field(True, description="a sixth action ends the episode")
    masks: bool = Field(True, description="a mutation that changes nothing is no legal action")
    features: bool = Field(True, description="whether observations have plain features besides the embedding")
    max_mutations: int = Field(5, ge=1, le=MUTATION_COUNT, description="steps of an episode at most")
    encoder: Literal["hashed", "endpoint"] = Field(
        "hashed", description="n-grams, or an OpenAI-compatible endpoint with a model of 1536 columns"
    )
    encoder_url: str | None = Field(None, description="endpoint: its URL, such as https://api.openai.com/v1")
    encoder_model: str | None = Field(None, description="endpoint: the name of the model there")
    preprocessing: FittedEncoder | None = Field(
        None, description="weights of the encoder; null: fitted on the training prompts; init= may set it"
    )

    @model_validator(mode="after")
    def _names_what_a_folder_needs(self) -> Config:
        keys = ("path", "scores", "validation_tasks", "test_tasks", "feedback", "judge")
        if self.tasks == "embedded":
            folder_keys = [key for key in keys if getattr(self, key)]
            if folder_keys:
                raise ValueError(f"{folder_keys[0]} is of tasks=folder alone: remove it, or set tasks=folder")
        elif self.feedback is not None and self.feedback == self.judge:
            raise ValueError(f"judge={self.judge!r} is also feedback, and a judge must not train: name another model")
        for key in ("encoder_url", "encoder_model"):
            if (self.encoder == "endpoint") != (getattr(self, key) is not None):
                needed = f"encoder=endpoint needs {key}" if self.encoder == "endpoint" else f"{key} is of no use"
                raise ValueError(f"{needed} with encoder={self.encoder}: set both, or none of them")
        return self
