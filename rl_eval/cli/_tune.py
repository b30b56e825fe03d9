"""`rl-eval tune`: search settings by training, and write the best as a preset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_eval.checkout import checkout
from rl_eval.cli._app import app
from rl_eval.extras import require_extra
from rl_eval.formatting import number, quantity
from rl_eval.override_text import override

if TYPE_CHECKING:
    from rl_eval.tuning import SearchResult

SHOWN = 5  # trials


@app.command()
def tune(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE...", help="Overrides of train.py; keys with several values are searched."),
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Total number of trials, including earlier ones.")
    ] = 40,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="AMOUNT", help="Budget of all trials: '30 min', '2 h' or '5 USD'.", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=100, help="Runs for each trial; its value is their mean.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of the search.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="DIR", help="Folder of the trials; default: tuning/<env>_<agent>.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The preset; default: conf/tuned/<env>_<agent>_searched.yaml of the checkout.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Search settings: train many times, compare on validation, and write the best as a preset.

    \b
      rl-eval tune env=gym env.id=Acrobot-v1 agent=ppo total_steps=60000 --trials 30
      rl-eval tune env=ENV agent=dqn --budget '30 min' --seeds 2
      rl-eval tune env=ENV agent=ppo 'lr=tag(log,interval(1e-4,1e-2))' agent.n_steps=64,128,256
      rl-eval tune env=ENV agent=ppo hardware=parallel --budget '2 h'
      python train.py env=ENV agent=ppo tuned=ENV_ppo_searched     # uses the result

    Overrides are those of train.py. Keys with several values are searched, in Hydra's grammar:

    \b
      agent.n_steps=64,128,256                   one of these
      agent.gae_lambda=interval(0.9,0.99)        a number in this range
      lr=tag(log,interval(1e-4,1e-2))            a number, uniform in its logarithm
      agent.gamma=tag(complement,interval(0.9,0.999))   uniform in the logarithm of 1 - gamma
      agent.n_epochs=int(interval(3,14))         a whole number in this range

    Without such keys, those that matter most for the agent are searched. Optuna's TPE chooses; the first eight
    trials are random. After them, a run is stopped early if its best score so far is below the median of
    complete trials. Scores are from the validation part: no trial is judged, and no test episode is played.

    Stop it at any time, and repeat the command to go on: interrupted trials continue. One process with the same
    --seed gives the same trials. hardware=parallel, ray or slurm runs several at once. --budget counts all
    trials together, and ends the search after the iteration that passes it.

    Exit status: 0 done, 1 stopped by its budget or no trial can be trained, 2 bad input, 130 interrupted.
    """
    from rl_eval import terminal
    from rl_eval.config import load
    from rl_eval.dry_run import dry_run
    from rl_eval.hydra_compose import compose
    from rl_eval.tuning import Search, default_space, preset_text, read_space, require_free, search, write_preset

    require_extra("train", "rl-eval tune", "hydra", "omegaconf", "torch")
    require_extra("tune", "rl-eval tune", "optuna")
    root = checkout("rl-eval tune")
    space, fixed = read_space(overrides or ())
    if budget is not None:
        fixed.append(override("hardware.budget", budget))
    composed = compose(root / "conf", fixed)
    config = load(composed)
    dry_run(config)
    space = space or default_space(config.agent.name, composed)
    name = f"{config.env.name}_{config.agent.name}"
    out = out or root / "conf" / "tuned" / f"{name}_searched.yaml"
    require_free(out)
    what = Search(root / "conf", tuple(fixed), tuple(space), folder or Path("tuning") / name, seed, seeds)
    with terminal.ProgressLine(None, f"tune {name}", unit="trials") as progress:
        result = search(what, trials, lambda so_far: progress.work(len(so_far.trials), trials, note=_note(so_far)))
    _show(result)
    best = result.best
    if best is None:
        reason = result.stopped or f"none of {quantity(len(result.trials), 'trial')} was completed"
        terminal.print_error(f"no preset was written: {reason}: see {what.folder}")
        raise typer.Exit(1)
    values = compose(root / "conf", [*fixed, *best.overrides])
    defaults = compose(root / "conf", [f"env={config.env.name}", f"agent={config.agent.name}", "~tuned"])
    write_preset(out, preset_text(result, best, values, defaults, what.training_seeds))
    terminal.print_line(f"preset: {out}")
    if out.parent == root / "conf" / "tuned":
        terminal.print_line(
            f"train with it: python train.py env={config.env.name} agent={config.agent.name} tuned={out.stem}"
        )
    if result.stopped:
        terminal.print_error(f"the search ended early: {result.stopped}; repeat the command with more to go on")
        raise typer.Exit(1)


def _note(result: SearchResult) -> str:
    best = result.best
    return "" if best is None else f"best {result.metric} {number(best.value)}"


def _show(result: SearchResult) -> None:
    from rl_eval import terminal
    from rl_eval.cost import cost_text

    sign = -1 if result.higher_is_better else 1
    complete = sorted((t for t in result.trials if t.value is not None), key=lambda t: sign * float(t.value or 0))
    console, table = terminal.console_for(), terminal.new_table()
    table.add_column("trial", justify="right")
    table.add_column(f"{result.metric} on validation", justify="right")
    table.add_column("settings", overflow="fold")
    for trial in complete[:SHOWN]:
        cells = (str(trial.number), number(trial.value), " ".join(trial.overrides))
        table.add_row(*(terminal.cell(text, console.options) for text in cells))
    if complete:
        console.print(table)
    states = [trial.state for trial in result.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
    terminal.print_line(f"{quantity(len(states), 'trial')}: {counts}; {cost_text(result.cost)}")
