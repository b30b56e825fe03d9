"""The prompt domain: improve a prompt by mutations, one at a time, and be judged by a language model never seen.

Importing this package is light; tasks, scores and reward models are loaded only where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rl_eval.domains.base import Domain, Part
from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.encoding.encoder import WIDTH, FittedEncoder
from rl_eval.errors import InputError
from rl_eval.formatting import mask_url, number, quantity
from rl_eval.validation_errors import config_sentence

if TYPE_CHECKING:
    import numpy as np
    import typer
    from fastapi import APIRouter

    from rl_eval.domains.prompt.environment.dataset import StartPrompts
    from rl_eval.domains.prompt.environment.vector import PromptVector
    from rl_eval.domains.text import TextObserver
    from rl_eval.metrics import Metric
    from rl_eval.policy import Policy
    from rl_eval.report.behaviour import Behaviour
    from rl_eval.report.figure import Figure

__all__ = ["DOMAIN", "Config", "Prompt"]


def _starts(config: Config, part: Part) -> StartPrompts:
    from rl_eval.domains.prompt.environment.dataset import load_starts

    return load_starts(config, part)


def _baseline(name: str) -> Callable[[Config], Policy]:
    def build(config: Config) -> Policy:
        from rl_eval.domains.prompt import baselines

        return baselines.BASELINES[name](config)

    return build


class Prompt(Domain[Config]):
    """Mutations of prompts; a case is a start prompt, and an episode is played from it."""

    name = "prompt"
    config_model = Config
    has_cases = True
    location_keys = ("path", "scores")
    execution_keys = ("judge",)  # a policy never meets the judge: the suite names who judges
    # A run is judged with the observations and actions that it was trained with.
    fitted_keys = ("preprocessing", "encoder", "encoder_url", "encoder_model", "features", "stop")
    held_out_facts = ("judge_gain", "accuracy_gain", "hacked")
    baselines = {
        name: _baseline(name)
        for name in (
            "none", "fallback", "reduction", "expansion", "constraint", "decomposition", "best_sequence",
            "hindsight_sequence", "greedy_reward_model", "hill_climbing", "optimal",
        )
    }  # fmt: skip

    shown_baselines = ("best_sequence", "optimal")

    def make(self, config: Config, *, n_envs: int, part: Part, autoreset: bool = True) -> PromptVector:
        """N prompts at once from one part of the tasks.

        Raises:
            InputError: missing or damaged data, or a prompt without a score.
        """
        from rl_eval.domains.prompt.environment.vector import PromptVector

        return PromptVector(config, n_envs=n_envs, part=part, autoreset=autoreset)

    def needs_trust(self, config: Config) -> str | None:
        """Sending prompts to an encoder or a judge that the config names."""
        urls = {"encoder_url": config.encoder_url, "judge.base_url": config.judge.base_url}
        named = [f"env.{key}={mask_url(url)!r}" for key, url in urls.items() if url is not None]
        return (
            f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} where prompts are sent to" if named else None
        )

    def not_repeatable(self, config: Config) -> str | None:
        """An endpoint may give other embeddings another time."""
        url = config.encoder_url
        return None if url is None else f"its embeddings came from env.encoder_url={mask_url(url)!r}"

    def notes(self, config: Config) -> Sequence[str]:
        """How well the reward model ranks the prompts of tasks that it was not fitted to."""
        from rl_eval.domains.prompt.environment.dataset import load_reward_model

        found = load_reward_model(config).correlation
        return (
            f"the reward model's rank correlation with its language model on unseen tasks is {number(found.estimate)} "
            f"(95 % interval {number(found.low)} to {number(found.high)}, {found.tasks} tasks left out in turn)",
        )

    def facts(self, config: Config) -> Sequence[str]:
        """Facts of each step; see `PromptVector.step`. Training has none of the judge."""
        return (
            "start", "state", "action", "task", "category", "kind", "length", "predicted_gain", "rubric_gain",
            "feedback_gain", "judge_gain", "accuracy_gain", "length_gain", "repeat", "episode_end", "hacked",
        )  # fmt: skip

    def longest_episode(self, config: Config) -> int:
        """The most mutations of an episode."""
        return config.max_mutations

    def action_names(self, config: Config) -> Sequence[str]:
        """The mutations, and stop."""
        from rl_eval.domains.prompt.text.mutations import MUTATIONS

        return (*MUTATIONS, "stop") if config.stop else MUTATIONS

    def episodes(self, config: Config, part: Part) -> int:
        """Start prompts of the part."""
        return len(_starts(config, part).hashes)

    def cases(self, config: Config, part: Part) -> int:
        """Start prompts of the part."""
        return len(_starts(config, part).hashes)

    def describe_cases(self, config: Config, part: Part) -> str:
        """Which tasks the start prompts are of."""
        from rl_eval.domains.prompt.environment.dataset import load_states

        names = [task.name for task in load_states(config, part).tasks]
        return f"start prompts of {'these' if len(names) > 1 else 'this'} {quantity(len(names), 'task')}: " + ", ".join(
            names
        )

    def case_hashes(self, config: Config, part: Part) -> np.ndarray:
        """One hash per start prompt and task, uint64 `[S]`."""
        return _starts(config, part).hashes

    def case_observations(self, config: Config, part: Part) -> np.ndarray:
        """Observations of the start prompts, float32 `[S, D]`, in the order of `case_hashes`."""
        return _starts(config, part).observations[:, 0]

    def fingerprints(self, config: Config) -> Mapping[str, str]:
        """Part -> SHA-256 of its prompts, the items that score them, and the language models."""
        from rl_eval.domains.prompt.environment.dataset import fingerprint

        parts: tuple[Part, ...] = ("train", "validation", "test")
        return {part: fingerprint(config, part) for part in parts}

    def data_files(self, config: Config) -> Sequence[Path]:
        """The files of tasks and scores; none for the embedded tasks."""
        from rl_eval.domains.prompt.environment.source import files

        return files(config)

    def preprocessing(self, config: Config) -> Mapping[str, Any]:
        """The encoder with its identity and weights, the columns, and how good the reward model is."""
        from rl_eval.domains.prompt.environment.dataset import load_encoder, load_reward_model

        columns = (*(f"embedding {column}" for column in range(WIDTH)), *_features(config))
        starts = self.case_observations(config, "train")
        constant = (starts.max(axis=0) == starts.min(axis=0)).nonzero()[0]
        return {
            "schema": 1,
            "encoder": load_encoder(config).to_json().model_dump(),
            "features": list(_features(config)),
            "columns": columns,
            "constant": [columns[column] for column in constant],  # most are hashed n-grams that no start has
            "reward_model": load_reward_model(config).to_json(),
        }

    def with_preprocessing(self, config: Config, preprocessing: Mapping[str, Any] | None) -> Config:
        """The same tasks with the encoder of another run.

        Raises:
            InputError: that run has another encoder, other plain features, or a damaged file.
        """
        from rl_eval.domains.prompt.environment.dataset import load_encoder

        fitted = _fitted(config, preprocessing)
        if fitted.identity == load_encoder(config).identity:
            return config
        applied = config.model_copy(update={"preprocessing": fitted})
        load_encoder(applied)  # another encoder, or damaged weights
        return applied

    def text_observer(self, config: Config, preprocessing: Mapping[str, Any]) -> TextObserver:
        """Reads prompts with the encoder of the run.

        Raises:
            InputError: that run has another encoder, other plain features, or a damaged file.
        """
        from rl_eval.domains.prompt.environment.dataset import load_encoder
        from rl_eval.domains.prompt.environment.observer import PromptObserver

        fitted = _fitted(config, preprocessing)
        return PromptObserver(config, load_encoder(config.model_copy(update={"preprocessing": fitted})))

    def routes(self, config: Config, preprocessing: Mapping[str, Any]) -> APIRouter:
        """`/mutate` and `/score`."""
        from rl_eval.domains.prompt.routes import router

        return router(config)

    def validation_metric(self, config: Config) -> str:
        """The gain by the language model of the reward model, so that the judge chooses nothing."""
        return "mean_feedback_gain"

    def metrics(self) -> Sequence[Metric]:
        """Gains over the start prompt, hacking, and what reward model and embedding are worth."""
        from rl_eval.domains.prompt.metrics import METRICS

        return METRICS

    def figures(self, behaviour: Behaviour) -> Sequence[Figure]:
        """Gain by task, actions by category and kind of start, and prompts before and after."""
        from rl_eval.domains.prompt.figures import figures

        return figures(behaviour)

    def commands(self) -> typer.Typer:
        """`rl-eval prompt score`, `init-task`, `compare` and `improve`."""
        from rl_eval.domains.prompt.commands.app import app

        return app


def _fitted(config: Config, preprocessing: Mapping[str, Any] | None) -> FittedEncoder:
    """The encoder of a `preprocessing.json`.

    Raises:
        InputError: other plain features, or a damaged file.
    """
    values = dict(preprocessing or {})
    if values.get("features") != list(_features(config)):
        raise InputError(
            "its observations have other plain features than env.features or this version has: set env.features as it "
            "was, or train a new run"
        )
    encoder = values.get("encoder")
    try:
        return FittedEncoder.model_validate(encoder)
    except ValidationError as error:
        given = encoder if isinstance(encoder, Mapping) else {}
        sentence = config_sentence(error, given, allowed=FittedEncoder.model_fields)
        raise InputError(f"its preprocessing.json cannot be applied: {sentence}") from error


def _features(config: Config) -> tuple[str, ...]:
    """The names of the plain features, in order; empty if there are none."""
    from rl_eval.domains.prompt.environment.observations import FEATURES

    return FEATURES if config.features else ()


DOMAIN = Prompt()
