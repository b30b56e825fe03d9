"""`rl-eval replay`: one episode of the judged policy of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError, nearest

PARTS = ("test", "validation", "train")


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", help="Of the environment; of a finite part, the index of the episode."),
    ],
    suite: Annotated[
        Path | None,
        typer.Option("--suite", metavar="FILE", help="Play the episode as this suite does: its data and its order."),
    ] = None,
    part: Annotated[
        str, typer.Option("--part", metavar="test|validation|train", help="The part of the data, without --suite.")
    ] = "test",
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="The most steps to print.")] = 20,
    film: Annotated[
        bool, typer.Option("--film/--no-film", help="Write a film to replays/ in the run, if there is one.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every step.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Import what the run or the suite names.")] = False,
) -> None:
    """Play one episode of the judged policy of a run, and print its steps and its outcome.

    \b
      rl-eval replay outputs/<date>/<run> --seed 1844022856
      rl-eval replay outputs/<date>/<run> --seed 17 --suite suites/mine.yaml

    The episode is the one that a gate plays with this seed. A verdict names the seeds of its worst episodes, and
    `rl-eval view` shows them. If you change an agent because of episodes of the test set has used the test set: take
    another gate_seed, or other data, for the verdict after that.
    """
    from rl_eval import terminal
    from rl_eval.replay import replay as replay_episode
    from rl_eval.run import as_json as json_of

    if part not in PARTS:
        raise InputError(f"--part {part!r} does not exist: {nearest(part, PARTS)}it is {', '.join(PARTS)}")
    done = replay_episode(run, seed, suite=suite, part=part, film=film, trust=trust)  # type: ignore[arg-type]
    episode: dict[str, Any] = {
        "seed": done.seed,
        "part": done.part,
        "steps": done.steps,
        "ended": "terminated" if done.terminated else "truncated",
        "totals": dict(done.totals),
        "film": None if done.film is None else str(done.film),
    }
    facts = {name: values.tolist() for name, values in done.episode.outcome.items()}
    if as_json:
        typer.echo(json_of({**episode, "actions": done.actions.tolist(), "outcome": facts}), nl=False)
        return
    rows = [
        {"step": step + 1, "action": done.action_text(step), **{name: column[step] for name, column in facts.items()}}
        for step in range(done.steps)
    ]
    terminal.print_steps(rows, steps)
    ended = "ended by the environment" if done.terminated else "cut off by a limit"
    totals = ", ".join(f"{name} {terminal.value_text(value)}" for name, value in done.totals.items())
    terminal.print_line(f"seed {done.seed}, {done.part} part: {done.steps:,} steps, {ended}; in all: {totals}")
    if done.film is not None:
        terminal.print_line(f"film: {done.film}")
    if done.film_differs:
        terminal.print_line("no film: the episode went another way when it was drawn", stderr=True)
