"""The prompts of a config with their observations and scores, one part at a time; cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from rl_eval.domains.base import Part
from rl_eval.domains.file_stamps import file_stamp
from rl_eval.domains.prompt.config import LEAST_NATS, Config
from rl_eval.domains.prompt.encoding import Encoder, EndpointEncoder, HashedNgrams, StaticEncoder
from rl_eval.domains.prompt.environment.language_models import model_files, score_missing
from rl_eval.domains.prompt.environment.observations import observe
from rl_eval.domains.prompt.environment.plain_features import (
    MOVED_FEATURES,
    PROMPT_FEATURES,
    SCORED_FEATURES,
    prompt_features,
)
from rl_eval.domains.prompt.environment.rubric import rubric
from rl_eval.domains.prompt.environment.source import Source, files, load_source, table_file
from rl_eval.domains.prompt.environment.states import APPLIED, PromptStates, prompt_states
from rl_eval.domains.prompt.reward_model.fit import RewardModel, fit_reward_model
from rl_eval.domains.prompt.scoring.collect import jobs_of
from rl_eval.domains.prompt.tasks.starts import KINDS
from rl_eval.domains.prompt.tasks.task import CATEGORIES, Task
from rl_eval.errors import InputError

# Keys that decide what the prompts and their scores are, and those that decide how they are observed.
_DATA = {"tasks", "path", "scores", "items", "validation_tasks", "test_tasks", "feedback", "judge"}
_OBSERVATIONS = {"encoder", "encoder_url", "encoder_model", "preprocessing", "features"}


@dataclass(frozen=True)
class PromptSet:
    """The S start prompts of one part, with everything that the environment looks up.

    Attributes:
        observations: float32 `[S, 32, D]`, the embedding first.
        task: int64 `[S]`, index into `load_tasks`, so that a number means one task in all parts.
        category, kind: int64 `[S]`, indices into `CATEGORIES` and `KINDS`.
        scores: name -> float32 `[S, 32]`: `predicted` by the reward model, `rubric`; in nats `feedback` and `judge`;
            `accuracy` of the judge, both not in training; `length` in characters. NaN where no legal mutations lead.
        hashes: uint64 `[S]` of task and start prompt.
    """

    states: PromptStates = field(repr=False)
    observations: np.ndarray = field(repr=False)
    task: np.ndarray = field(repr=False)
    category: np.ndarray = field(repr=False)
    kind: np.ndarray = field(repr=False)
    scores: dict[str, np.ndarray] = field(repr=False)
    hashes: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True)
class StartPrompts:
    """The S start prompts of one part as the held-out guard compares them; no scores are needed.

    Attributes:
        observations: float32 `[S, 32, D]`, the embedding first.
        hashes: uint64 `[S]` of task and start prompt.
    """

    observations: np.ndarray = field(repr=False)
    hashes: np.ndarray = field(repr=False)


def load_part(config: Config, part: Part) -> PromptSet:
    """One part of the tasks of a config.

    A prompt without a score is scored where the config names a model that does so, which may take long.

    Raises:
        InputError: data that is missing or damaged, or a prompt without a score.
    """
    _score_missing(config, ("train", part))
    return _load_part(_key(config, _DATA | _OBSERVATIONS), _stamps(config), part)


def load_starts(config: Config, part: Part) -> StartPrompts:
    """The start prompts of one part, without scores.

    Raises:
        InputError: as `load_part`.
    """
    return _load_starts(_key(config, _DATA | _OBSERVATIONS), _stamps(config), part)


def fingerprint(config: Config, part: Part) -> str:
    """SHA-256 of the prompts of a part, the items that they are scored on, and the language models that score them.

    The scores follow from these, and may be unknown.
    """
    states, source = load_states(config, part), _source(_key(config, _DATA), _stamps(config))
    models = [source.feedback] if part == "train" else [source.feedback, source.judge]
    named = [*models, *(task.item_set_hash() for task in states.tasks)]
    content = json.dumps([named, states.task.tolist(), states.kinds, states.texts], ensure_ascii=False)
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()


def load_encoder(config: Config) -> Encoder:
    """The encoder of a config: its `preprocessing`, else fitted on all training prompts; static, or an endpoint.

    Raises:
        InputError: `preprocessing` is of another encoder, or damaged.
    """
    fitted = config.preprocessing
    if config.encoder == "hashed":
        return (
            _fitted_encoder(_key(config, _DATA), _stamps(config)) if fitted is None else HashedNgrams.from_json(fitted)
        )
    encoder: Encoder
    if config.encoder == "static":
        encoder = StaticEncoder()
    else:
        assert config.encoder_url is not None
        assert config.encoder_model is not None
        encoder = _endpoint(config.encoder_url, config.encoder_model)
    if fitted is not None and fitted.identity != encoder.identity:
        raise InputError(
            f"the embeddings come from {fitted.identity.name} at {fitted.identity.version}, but this encoder is "
            f"{encoder.identity.name} at {encoder.identity.version}: equal columns do not mean the same, so train "
            "again"
        )
    return encoder


def load_reward_model(config: Config) -> RewardModel:
    """The reward model of a config, fitted on the training tasks; prompts without a score as in `load_part`."""
    _score_missing(config, ("train",))
    return _reward_model(_key(config, _DATA), _stamps(config))


def load_states(config: Config, part: Part) -> PromptStates:
    """The prompts of one part, without observations and scores."""
    return _states(_key(config, _DATA), _stamps(config), part)


def load_tasks(config: Config) -> dict[str, Task]:
    """All tasks of a config by name: those of training, of validation, and of the test."""
    source = _source(_key(config, _DATA), _stamps(config))
    return {task.name: task for tasks in source.tasks.values() for task in tasks}


def load_judge_repeats(config: Config) -> tuple[int, int]:
    """How many requests to the judge were sent twice, and how many of them were answered in two ways."""
    source = _source(_key(config, _DATA), _stamps(config))
    return source.scores.repeats.get(source.judge, (0, 0))


def _key(config: Config, keys: set[str]) -> str:
    return config.model_dump_json(include={"name", *keys})


def _stamps(config: Config) -> tuple:
    """The stamp of every file that a config reads."""
    return tuple(file_stamp(file) for file in (*files(config), *model_files(config)))


def _score_missing(config: Config, parts: Sequence[Part]) -> None:
    """Let the language models of a config score what the table lacks: the judge nothing of the training part."""
    source = _source(_key(config, _DATA), _stamps(config))
    for model in source.scorers:
        scored = [part for part in dict.fromkeys(parts) if part != "train" or model.hash == source.feedback]
        score_missing(table_file(config), model, jobs_of(task for part in scored for task in source.tasks[part]))


@lru_cache(maxsize=4)
def _source(key: str, stamps: tuple) -> Source:
    source = load_source(Config.model_validate_json(key))
    for part, tasks in source.tasks.items():
        if not tasks:
            raise InputError(f"there is no {part} task: each of train, validation and test needs one")
    return source


@lru_cache(maxsize=12)
def _states(key: str, stamps: tuple, part: Part) -> PromptStates:
    return prompt_states(_source(key, stamps).tasks[part])


@lru_cache(maxsize=4)
def _fitted_encoder(key: str, stamps: tuple) -> HashedNgrams:
    return HashedNgrams.fit(text for texts in _states(key, stamps, "train").texts for text in texts)


@lru_cache(maxsize=4)
def _endpoint(url: str, model: str) -> EndpointEncoder:
    return EndpointEncoder(url, model)


@lru_cache(maxsize=4)
def _reward_model(key: str, stamps: tuple) -> RewardModel:
    states, source = _states(key, stamps, "train"), _source(key, stamps)
    scores = language_model_scores(states, source, source.feedback)[0]
    reached = states.can_reach
    task = np.broadcast_to(states.task[:, None], reached.shape)[reached]
    features = _prompt_features(states)[reached].astype(np.float64)
    used, moved = ([PROMPT_FEATURES.index(name) for name in names] for names in (SCORED_FEATURES, MOVED_FEATURES))
    return fit_reward_model(features, scores[reached], task, used, moved)


@lru_cache(maxsize=12)
def _load_part(key: str, stamps: tuple, part: Part) -> PromptSet:
    config = Config.model_validate_json(key)
    states, source = load_states(config, part), _source(_key(config, _DATA), stamps)
    features = _prompt_features(states)
    scores = {
        "predicted": load_reward_model(config).score(features.astype(np.float64)),
        "rubric": rubric(features),
        "feedback": language_model_scores(states, source, source.feedback)[0],
        "length": np.array([[len(text) for text in texts] for texts in states.texts]),
    }
    if part != "train":  # so that no reward can read the judge
        scores["judge"], scores["accuracy"] = language_model_scores(states, source, source.judge)
    scores = {name: np.where(states.can_reach, _exact(values), np.nan) for name, values in scores.items()}
    for array in scores.values():
        array.setflags(write=False)  # shared by every environment of the process
    starts = load_starts(config, part)
    tasks, names = [states.tasks[index] for index in states.task], list(load_tasks(config))
    return PromptSet(
        states,
        starts.observations,
        np.array([names.index(task.name) for task in tasks], np.int64),
        np.array([CATEGORIES.index(task.category) for task in tasks], np.int64),
        np.array([KINDS.index(kind) for kind in states.kinds], np.int64),
        scores,
        starts.hashes,
    )


@lru_cache(maxsize=12)
def _load_starts(key: str, stamps: tuple, part: Part) -> StartPrompts:
    config = Config.model_validate_json(key)
    states, encoder = load_states(config, part), load_encoder(config)
    tasks = [states.tasks[index] for index in states.task]
    observations = np.array(
        [
            observe(texts, task, APPLIED, encoder, plain=config.features)
            for texts, task in zip(states.texts, tasks, strict=True)
        ]
    )
    observations.setflags(write=False)
    hashes = [_hash(task.name, texts[0]) for task, texts in zip(tasks, states.texts, strict=True)]
    return StartPrompts(observations, np.array(hashes, np.uint64))


def _exact(values: np.ndarray) -> np.ndarray:
    """Scores rounded to multiples of 2⁻¹⁶, float32: their differences and sums are exact.

    So the gain of an episode does not depend on the order of its mutations, and equal results are equal.
    """
    return (np.rint(values * 2.0**16) * 2.0**-16).astype(np.float32)


def _hash(task: str, text: str) -> int:
    content = f"{task}\0{text}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")


def language_model_scores(states: PromptStates, source: Source, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated log-likelihood in nats and calibrated accuracy, `[S, 32]` each; NaN if no legal mutations lead."""
    nats, accuracy = (np.full(states.can_reach.shape, np.nan) for _ in range(2))
    for start, state in np.argwhere(states.can_reach):
        task = states.tasks[states.task[start]]
        score = source.scores.get(states.texts[start][state], task, model)
        nats[start, state] = max(score.calibrated, LEAST_NATS)
        accuracy[start, state] = score.calibrated_accuracy
    return nats, accuracy


def _prompt_features(states: PromptStates) -> np.ndarray:
    """float32 `[S, 32, F]`."""
    return np.array(
        [
            [prompt_features(text, states.tasks[task]) for text in texts]
            for task, texts in zip(states.task, states.texts, strict=True)
        ]
    )
