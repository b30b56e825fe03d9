"""The config of the prompt domain: tasks, scores, actions, observations."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rl_eval.domains import EnvConfig
from rl_eval.domains.prompt.encoding.encoder import FittedEncoder

MUTATION_COUNT = 5
LEAST_NATS = -6.91  # below the lowest score of a language model, ln(LEAST_PROBABILITY)


class JudgeConfig(BaseModel):
    """The language model that judges, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        None,
        description="a GGUF file; with base_url a model's name there; or a model of the table, by its hash or by the "
        "beginning of its name",
    )
    base_url: str | None = Field(None, description="an OpenAI-compatible endpoint, such as https://api.example.com/v1")
    score: Literal["logprob", "accuracy", "grade"] = Field(
        "logprob", description="by an endpoint: log-probabilities, answers, or grades; a file gives log-probabilities"
    )
    calls: int = Field(10_000, ge=1, description="requests to an endpoint at most")
    money: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="what the requests may cost, in the currency of the prices"
    )
    price_in: float = Field(0.0, ge=0, allow_inf_nan=False, description="price of a million prompt tokens")
    price_out: float = Field(0.0, ge=0, allow_inf_nan=False, description="price of a million answer tokens")

    @model_validator(mode="after")
    def _options_of_an_endpoint(self) -> JudgeConfig:
        if self.base_url is None and self.score != "logprob":
            raise ValueError(f"score={self.score} is of an endpoint: set base_url, or score=logprob")
        if self.base_url is not None and self.model is None:
            raise ValueError("base_url needs model: give the name of a model there")
        if self.money is not None and not self.price_in and not self.price_out:
            raise ValueError("money has no effect without price_in and price_out: set them too")
        return self


class Config(EnvConfig):
    """The defaults are those of `conf/env/prompt.yaml`, key by key."""

    name: Literal["prompt"] = "prompt"
    tasks: Literal["embedded", "folder"] = Field(
        "embedded", description=("the tasks of the package, or a folder of tasks")
    )
    path: str | None = Field(None, description="folder: the folder of tasks, each in a folder of its own")
    scores: str | None = Field(
        None, description="folder: the table that `rl-eval prompt score` wrote; what it lacks is added"
    )
    items: int | None = Field(None, ge=1, description="folder: test items of each task at most; null: all")
    validation_tasks: tuple[str, ...] = Field((), description="folder: the tasks for model selection")
    test_tasks: tuple[str, ...] = Field((), description="folder: the tasks held out for the gate")
    feedback: str | None = Field(
        None, description="folder: the language model whose scores the reward model learns, as judge.model names one"
    )
    judge: JudgeConfig = Field(JudgeConfig(), description="folder: the language model that judges; it never trains")
    stop: bool = Field(True, description="a sixth action ends the episode")
    masks: bool = Field(True, description="a mutation that changes nothing is not a legal action")
    features: bool = Field(True, description="whether observations have plain features in addition to the embedding")
    max_mutations: int = Field(5, ge=1, le=MUTATION_COUNT, description="steps of an episode at most")
    encoder: Literal["hashed", "static", "endpoint"] = Field(
        "hashed",
        description="n-grams, static embeddings of words (extra llm), or an OpenAI-compatible endpoint with a model of "
        "1536 columns",
    )
    encoder_url: str | None = Field(None, description="endpoint: its URL, such as https://api.openai.com/v1")
    encoder_model: str | None = Field(None, description="endpoint: the name of the model there")
    preprocessing: FittedEncoder | None = Field(
        None, description="weights of the encoder; null: fitted on the training prompts; init= may set it"
    )

    @model_validator(mode="after")
    def _names_what_a_folder_needs(self) -> Config:
        keys = ("path", "scores", "items", "validation_tasks", "test_tasks", "feedback")
        if self.tasks == "embedded":
            folder_keys = [key for key in keys if getattr(self, key)]
            folder_keys += [] if self.judge == JudgeConfig() else ["judge"]
            if folder_keys:
                raise ValueError(f"{folder_keys[0]} is only for tasks=folder: remove it, or set tasks=folder")
        elif self.feedback is not None and self.feedback == self.judge.model and self.judge.base_url is None:
            raise ValueError(
                f"judge.model={self.judge.model!r} is also feedback, but a judge must not train: name another model"
            )
        for key in ("encoder_url", "encoder_model"):
            if (self.encoder == "endpoint") != (getattr(self, key) is not None):
                needed = f"encoder=endpoint needs {key}" if self.encoder == "endpoint" else f"{key} is not used"
                raise ValueError(f"{needed} with encoder={self.encoder}: set both, or none of them")
        return self
