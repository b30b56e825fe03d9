"""`rl-eval prompt improve`: mutations of a person's prompt, chosen by the reward model or by the policy of a run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval import domains, policy
from rl_eval.domains.prompt.commands.compare import compare_and_print
from rl_eval.domains.prompt.config import MUTATION_COUNT, Config
from rl_eval.domains.prompt.environment.dataset import load_encoder, load_reward_model
from rl_eval.domains.prompt.environment.observations import observe
from rl_eval.domains.prompt.environment.plain_features import prompt_features
from rl_eval.domains.prompt.environment.vector import LARGEST, shown_masks
from rl_eval.domains.prompt.scoring.judge import Judge
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.domains.prompt.text.mutations import MUTATIONS, legal, mutate
from rl_eval.errors import InputError
from rl_eval.formatting import escape_controls, number
from rl_eval.plugins import require_plugins_of_run
from rl_eval.run import environment_of, read_preprocessing, read_run
from rl_eval.terminal import print_line

Choose = Callable[[str, np.ndarray], int | None]  # a prompt and what was applied -> index of a mutation; None: stop
Predict = Callable[[str], float]  # a prompt -> its score by the reward model


@dataclass(frozen=True)
class Step:
    """One mutation.

    Attributes:
        before, after: the prompts.
        predicted_gain: by the reward model, in nats.
    """

    mutation: str
    before: str
    after: str
    predicted_gain: float


def improve_prompt(text: str, task: Task, choose: Choose, predict: Predict) -> list[Step]:
    """The steps that a chooser takes from a prompt; each mutation is applied once at most."""
    steps: list[Step] = []
    applied = np.zeros(MUTATION_COUNT, bool)
    while (index := choose(text, applied)) is not None and not applied[index]:
        applied[index] = True
        after = mutate(text, MUTATIONS[index], task)
        if after != text:
            steps.append(Step(MUTATIONS[index], text, after, predict(after) - predict(text)))
        text = after
    return steps


def reward_model(config: Config, task: Task) -> Predict:
    """Scores by the reward model of a config.

    Raises:
        InputError: its data is missing.
    """
    model = load_reward_model(config)
    return lambda text: float(model.score(prompt_features(text, task)[None].astype(np.float64))[0])


def greedy(task: Task, predict: Predict) -> Choose:
    """The mutation with the largest predicted gain, as long as there is one above 0."""

    def choose(text: str, applied: np.ndarray) -> int | None:
        score = predict(text)
        gains = [
            predict(mutate(text, mutation, task)) - score if is_legal else -np.inf
            for mutation, is_legal in zip(MUTATIONS, legal(text, task), strict=True)
        ]
        best = int(np.argmax(gains))
        return best if gains[best] > 0 else None

    return choose


def of_run(directory: Path, task: Task, *, trust: bool) -> tuple[Config, Choose]:
    """The config of a run, and its policy as a chooser.

    Raises:
        InputError: no run of this domain, or a damaged one.
    """
    run = read_run(directory)
    require_plugins_of_run(directory, run.config, trust=trust)
    config = environment_of(run)
    if not isinstance(config, Config):
        raise InputError(f"{directory} is a run of env={config.name}: name a run of env=prompt")
    applied_config = domains.domain(config.name).with_preprocessing(config, read_preprocessing(run))
    assert isinstance(applied_config, Config)
    encoder = load_encoder(applied_config)
    width = observe([""], task, np.zeros((1, MUTATION_COUNT), bool), encoder, plain=config.features).shape[1]
    spaces = policy.Spaces(
        config.name, Box(-LARGEST, LARGEST, (width,), np.float32), Discrete(MUTATION_COUNT + config.stop)
    )
    judged = policy.load(str(directory.resolve()), spaces, config, trust=trust)

    def choose(text: str, applied: np.ndarray) -> int | None:
        can = np.array([legal(text, task)], bool)
        if not can.any() or applied.sum() >= config.max_mutations:
            return None
        row = observe([text], task, applied[None], encoder, plain=config.features)
        mask = shown_masks(can, config)
        action = int(np.asarray(policy.choose_actions(judged, row, True, mask=mask if config.masks else None))[0])
        return action if action < MUTATION_COUNT else None

    return config, choose


def describe(text: str, steps: list[Step]) -> Iterator[str]:
    """Before, what each step changed, and after, as lines of text without control characters."""
    if not steps:
        yield "no mutation is expected to help: the prompt stays as it is"
        return
    for position, step in enumerate(steps, 1):
        yield f"{position} {step.mutation}: predicted gain {number(step.predicted_gain, 3)} nats"
        for line in difflib.ndiff(step.before.split("\n"), step.after.split("\n")):
            if line[:1] in "+-" and line[2:].strip():
                yield f"    {escape_controls(line)}"
    total = sum(step.predicted_gain for step in steps)
    yield f"predicted gain of all: {number(total, 3)} nats"
    yield "before:"
    yield from (f"    {escape_controls(line)}" for line in text.split("\n"))
    yield "after:"
    yield from (f"    {escape_controls(line)}" for line in steps[-1].after.split("\n"))


def improve_and_print(
    text: str, task: Task, run: Path | None, judge: Judge | None, out: Path | None, *, trust: bool
) -> None:
    """Improve a prompt, print how, write it, and let a judge compare it with the old one.

    Raises:
        InputError: bad input, an existing file, or a judge that cannot be asked.
    """
    if out is not None and out.exists():
        raise InputError(f"{escape_controls(str(out))} exists: name a new file with --out")
    if run is None:
        predict = reward_model(Config(), task)
        choose = greedy(task, predict)
    else:
        config, choose = of_run(run, task, trust=trust)
        predict = reward_model(config, task)
    steps = improve_prompt(text, task, choose, predict)
    for line in describe(text, steps):
        print_line(line)
    if out is not None:
        _write(out, steps[-1].after if steps else text)
        print_line(f"{out} has the {'new' if steps else 'unchanged'} prompt")
    if not steps:
        return
    if judge is None:
        print_line("the gain is a prediction: name a judge with --model to verify it on the test items of the task")
    else:
        compare_and_print(text, steps[-1].after, task, judge)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise InputError(f"{escape_controls(str(path))} cannot be written ({error.strerror})") from error
