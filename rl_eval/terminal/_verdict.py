"""The verdicts of suites: what was judged on what, the criteria, and a sentence where one is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from rl_eval.formatting import decision_text, times
from rl_eval.terminal._console import console_for, is_terminal, print_labelled, printable
from rl_eval.terminal._criteria_table import DECISION_STYLES, criteria_table, part_note
from rl_eval.terminal._wrapping import wrap_command

COUNT_TEXTS = (
    ("FAIL", "fails", "fail"),
    ("ERROR", "could not be judged", "could not be judged"),
    ("INCONCLUSIVE", "is inconclusive", "are inconclusive"),
    ("NEEDS_RUNS", "needs more runs", "need more runs"),
    ("NOT_CHECKED", "is not checked", "are not checked"),
)
# Decisions whose sentence is in the block of their suite; those of others come below all suites, or from pytest.
_EXPLAINED = ("PASS", "NOT_CHECKED")


def print_verdict(
    verdict_rows: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    *,
    stream: IO[str] | None = None,
    console: Console | None = None,
) -> None:
    """Print each suite, the sentences of what does not pass, the commands that decide the rest, and a count of several.

    Args:
        verdict_rows: as `criteria_table` takes them, each with its `suite`.
        facts: of suites, as `print_suite` takes them.
    """
    console = console or console_for(stream)
    rows = list(verdict_rows)
    if not rows:
        console.print("no criteria were judged")
        return
    suites = list(dict.fromkeys(str(row["suite"]) for row in rows))
    for suite in suites:
        print_suite(suite, [row for row in rows if str(row["suite"]) == suite], console, (facts or {}).get(suite, ()))
        console.print()
    _print_failures(rows, console)
    _print_commands(rows, console)
    if len(suites) > 1:  # the count of one is at its head
        console.print(_count(rows), soft_wrap=True)


def print_suite(
    suite: str,
    verdict_rows: Sequence[Mapping[str, Any]],
    console: Console,
    facts: Sequence[tuple[str, str]] = (),
) -> None:
    """Print how a suite was decided: facts, the table of its criteria, its other items, and notes on what passes.

    Args:
        suite: its name.
        verdict_rows: of this suite, as `criteria_table` takes them.
        facts: pairs of a label and a text, such as what was judged; those without a text are left out.
    """
    decisions = {row["decision"] for row in verdict_rows} - {"NOT_CHECKED"}
    worst = next((name for name, _, _ in COUNT_TEXTS if name in decisions), "PASS")
    print_labelled(console, f"{suite}:", _count(verdict_rows), DECISION_STYLES[worst])
    shown = [(label, text) for label, text in facts if text]
    width, above = max((len(label) for label, _ in shown), default=0), ""
    for label, text in shown:
        print_labelled(console, f"  {'' if label == above else label:<{width}}", text, "bold")
        above = label
    if criteria := [row for row in verdict_rows if row["direction"]]:
        console.print(criteria_table(criteria))
    for row in verdict_rows:
        if not row["direction"]:  # controls and the like: no number, but a sentence
            decision, style = str(row["decision"]), DECISION_STYLES.get(str(row["decision"]), "bold")
            text = f"{row['criterion']}{part_note(row)}" + (f": {row['detail']}" if decision in _EXPLAINED else "")
            print_labelled(console, decision_text(decision), text, style, indent=5)
    notes: dict[str, list[str]] = {}
    for row in criteria:
        if row["decision"] == "PASS":
            reference = [f"compared with {times(row.get('factor'))}{row['reference']}"] if row.get("reference") else []
            # the table has the numbers, with which the sentence of a criterion begins
            for note in [*reference, *str(row["detail"] or "").split("; ")[1:]]:
                notes.setdefault(note, []).append(str(row["criterion"]))
    for note, names in notes.items():
        print_labelled(console, "note", f"on {', '.join(names)}: {note}", "bold", indent=5)


def _print_failures(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A sentence for each criterion that is decided against, or not decided."""
    for row in rows:
        decision = str(row["decision"])
        if decision not in (*_EXPLAINED, "NEEDS_RUNS"):
            name = f"{row['suite']}/{row['criterion']}{part_note(row)}"
            sentence = name + (f": {row['detail']}" if row.get("detail") else "")
            print_labelled(console, decision_text(decision), sentence, DECISION_STYLES.get(decision, "bold"), indent=5)


def _print_commands(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The commands that train what criteria over several runs need."""
    commands: dict[str, list[str]] = {}
    for row in rows:
        if row["decision"] == "NEEDS_RUNS":
            commands.setdefault(str(row.get("detail") or ""), []).append(f"{row['suite']}/{row['criterion']}")
    for command, names in commands.items():
        criteria = ", ".join(names) + (", decided by:" if command else "")
        print_labelled(console, "NEEDS RUNS", criteria, DECISION_STYLES["NEEDS_RUNS"], indent=5)
        if command:
            print_commands(console, {"": command})


def print_commands(console: Console, commands: Mapping[str, str]) -> None:
    """Print commands that can be copied: a shell reads the rows of one as one line.

    Args:
        commands: what each is for -> the command; an empty text where that is above.
    """
    label_width = max(map(cell_len, commands), default=0)
    for label, command in commands.items():
        text = printable(command, ascii_only=console.options.ascii_only)
        begin = f"  {printable(label, ascii_only=console.options.ascii_only):<{label_width}}  " if label else "  "
        rows = wrap_command(text, console.width - len(begin) - 4) if is_terminal(console.file) else [text]
        console.print(Text(begin + f"\n{' ' * (len(begin) + 4)}".join(rows)), soft_wrap=True)


def _count(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(str(row["decision"]) for row in rows)
    texts = [
        f"{counts[decision]} {one if counts[decision] == 1 else many}"
        for decision, one, many in COUNT_TEXTS
        if counts[decision]
    ]
    passing = f"{counts['PASS']} of {len(rows)} criteria {'passes' if counts['PASS'] == 1 else 'pass'}"
    passing += " on validation" if any(map(part_note, rows)) else ""
    return passing + (f"; {', '.join(texts)}" if texts else "")
