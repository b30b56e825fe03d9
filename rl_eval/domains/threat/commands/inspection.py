"""`rl-eval threat inspect`: how a file of flows is read, how to train on it, and a suite that judges the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rl_eval.domains import domain
from rl_eval.domains.threat.commands.column_rows import column_rows
from rl_eval.domains.threat.commands.proposal import Proposal, propose
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.data import FlowDataset, load_dataset
from rl_eval.domains.threat.formats.dialect import SEPARATORS
from rl_eval.domains.threat.formats.sheet import Layout
from rl_eval.errors import InputError
from rl_eval.formatting import percent, quantity
from rl_eval.gates.baseline_suite import suite_text
from rl_eval.override_text import override, shell_word, training_command
from rl_eval.run import write_text
from rl_eval.terminal import cell, console_for, new_table, print_labelled, print_line

MAX_CANDIDATES = 5


def inspect_file(file: Path, *, suite: Path | None, **choices: Any) -> None:
    """Print everything, and write the suite where one is named.

    Args:
        choices: what the person says of the file, as for `propose`.

    Raises:
        InputError: it cannot be read, the suite exists already, or there is none since the label is not known.
    """
    proposal = propose(file, **choices)
    dataset = load_dataset(proposal.config) if proposal.can_be_trained_on else None
    sheet, console = proposal.sheet, console_for()
    print_line(f"{file}: {describe(sheet.layout)}")
    print_line(f"{quantity(len(sheet), 'flow')}, {quantity(len(sheet.frame.columns), 'column')}")
    print_line("")
    table = new_table()
    for title in ("column", "read as", "missing", "content"):
        table.add_column(title, justify="right" if title == "missing" else "left", overflow="fold")
    for row in column_rows(proposal, {} if dataset is None else dataset.preprocessing.silent()):
        missing = percent(row.missing) if row.missing else ""
        table.add_row(*(cell(value, console.options) for value in (row.name, row.read_as, missing, row.content)))
    console.print(table)
    print_line("")
    for note in (*proposal.notes, *_label_notes(proposal), *(dataset.suspicions if dataset else ())):
        print_labelled(console, "note:", note)
    if dataset is None:
        if suite is not None:
            raise InputError(f"--suite {suite} is not written: which flows are threats is not known, see the notes")
        return
    for line in _parts(dataset):
        print_line(line)
    print_line("")
    own_prices = proposal.config.costs != Config().costs
    reward = ["reward=threat_costs"] if own_prices else []
    if own_prices:
        for note in _price_notes(proposal.config.costs):
            print_labelled(console, "note:", note)
    print_line(f"train:  {training_command(['env=threat', *reward, *overrides(proposal.config)])}")
    if not own_prices:
        print_line(
            "prices: --costs '[[allow,block,quarantine,alert],[…]]' (of a benign flow, of a threat) puts your own into "
            "this command and into the suite"
        )
    text = suggested_suite(proposal.config)
    if suite is None:
        print_line("suite:  --suite suites/NAME.yaml writes this file, by which train.py then judges")
        print_line("")
        for line in text.splitlines():
            print_line(f"  {line}")
        return
    if suite.exists():
        raise InputError(f"--suite {suite} exists already: name a new file")
    suite.parent.mkdir(parents=True, exist_ok=True)
    write_text(suite, text)
    print_line(f"suite:  {suite}; judge a run with `pytest {shell_word(suite)} --rl-run outputs/<date>/<run>`")


def _price_notes(costs: Sequence[Sequence[float]]) -> Iterator[str]:
    """What is unusual in prices `[2, 4]`: of a benign flow, of a threat."""
    benign, threat = costs
    if benign[0] > min(benign):
        yield "allowing a benign flow costs more than another action: the first row is of benign flows"
    if threat[0] < max(threat):
        yield "allowing a threat does not cost the most: the second row is of threats"
    ties = [name for name, row in (("benign flow", benign), ("threat", threat)) if len(set(row[1:])) < len(row[1:])]
    if ties:
        yield f"some actions cost the same on a {' and on a '.join(ties)}: which of them is chosen means nothing"


def describe(layout: Layout) -> str:
    """How a file was understood, in a line."""
    parts = [layout.format, layout.encoding]
    if layout.separator and layout.format == "CSV":
        parts.append(f"separated by {SEPARATORS[layout.separator]}s")
        parts.append("decimal comma" if layout.decimal == "," else "")
    parts.append(f"{quantity(layout.comments, 'line')} before the header" if layout.comments else "")
    parts.append(f"packed with {layout.packing}" if layout.packing else "")
    for name, columns in layout.renamed.items():
        without = f"{quantity(len(columns), 'column')} without a name"
        parts.append(f"{name!r} appears {len(columns)} times" if name else without)
    return ", ".join(part for part in parts if part)


def overrides(config: Config) -> list[str]:
    """The overrides of train.py that make this config."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    return [override(f"env.{key}", value) for key, value in values.items() if key != "name"]


def suggested_suite(config: Config) -> str:
    """A suite for a file, as YAML: better than the baselines, with bars to fill in."""
    return (
        "# Compared with baselines; then say what is good enough for you, as in the two lines at the end.\n"
        f"{suite_text(config, domain(config.name).default_criteria(config))}"
        "#  catches_threats: {metric: recall, at_least: 0.8}\n"
        "#  spares_benign: {metric: false_positive_rate, at_most: 0.01}\n"
    )


def _label_notes(proposal: Proposal) -> Iterator[str]:
    label = proposal.config.label
    if label is None:
        likely = ", ".join(repr(name) for name in proposal.candidates[:MAX_CANDIDATES])
        such_as = f", such as {likely}" if likely else ""
        yield f"which flows are threats is not known: name the column with --label{such_as}"
        return
    unknown = [value for value, (_, of_class) in proposal.labels.items() if of_class is None]
    if unknown:
        shown = ", ".join(repr(value) for value in unknown[:MAX_CANDIDATES])
        more = f" and {len(unknown) - MAX_CANDIDATES} more" if len(unknown) > MAX_CANDIDATES else ""
        yield f"labels that mean nothing yet: {shown}{more}: name them with --benign and --threat, where * is any text"
    elif not proposal.can_be_trained_on:
        yield f"all flows are of one class by {label!r}, and both are needed: name another column with --label"


def _parts(dataset: FlowDataset) -> Iterator[str]:
    shares = [
        f"{name} {len(part):,} ({percent(float(part.label.mean()))} threats)" for name, part in dataset.parts.items()
    ]
    yield f"parts:  {', '.join(shares)}; {quantity(dataset.preprocessing.width, 'column')} of an observation"
