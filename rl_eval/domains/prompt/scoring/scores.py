"""`Score` of a prompt, and the table of scores: by the hashes of prompt, item set and model."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.errors import InputError
from rl_eval.formatting import brief, escape_controls
from rl_eval.untrusted_files import only_regular

# The least probability of a label that counts: one confident error must not outweigh all other items.
LEAST_PROBABILITY = 1e-3
MAX_TABLE_BYTES = 256 << 20
_LEAST_CONTENT_FREE = 1e-6
_DIGITS = 5
_LEAST_LOG_LIKELIHOOD = round(math.log(LEAST_PROBABILITY), _DIGITS)
_LINE_BEGINNING = '{"model": '  # of each line that `append` writes
_GZIP = b"\x1f\x8b"
_COLUMNS = ("prompt", "items", "model", "log_likelihood", "calibrated", "accuracy", "calibrated_accuracy")


@dataclass(frozen=True)
class Score:
    """How well a language model does a task with a prompt.

    Attributes:
        log_likelihood: mean over the items of ln p(right label), in nats; p is renormalised over the labels and at
            least `LEAST_PROBABILITY`.
        calibrated: the same with p divided by that for a content-free input (Zhao et al. 2021, arXiv 2102.09690).
        accuracy: share of items whose most probable label is right.
        calibrated_accuracy: the same with calibrated p.
    """

    log_likelihood: float
    calibrated: float
    accuracy: float
    calibrated_accuracy: float


Key = tuple[str, str, str]


def score_labels(probabilities: np.ndarray, content_free: np.ndarray, right: np.ndarray) -> Score:
    """The score of label probabilities.

    Args:
        probabilities: of each label for each item `[I, L]`; rows need not add up to 1.
        content_free: of each label for a content-free input `[L]`.
        right: index of the right label of each item `[I]`.
    """
    plain = probabilities / probabilities.sum(axis=1, keepdims=True)
    calibrated = calibrate(probabilities, content_free)
    values = []
    for p in (plain, calibrated):
        p_right = p[np.arange(len(right)), right]
        values.append((np.log(np.maximum(p_right, LEAST_PROBABILITY)).mean(), (p.argmax(axis=1) == right).mean()))
    (log_likelihood, accuracy), (calibrated_mean, calibrated_accuracy) = values
    figures = (log_likelihood, calibrated_mean, accuracy, calibrated_accuracy)
    return Score(*(round(float(figure), _DIGITS) for figure in figures))


def calibrate(probabilities: np.ndarray, content_free: np.ndarray) -> np.ndarray:
    """Label probabilities `[I, L]` over those for a content-free input `[L]`; rows add up to 1."""
    prior = np.maximum(content_free / content_free.sum(), _LEAST_CONTENT_FREE)
    calibrated = probabilities / prior
    return calibrated / calibrated.sum(axis=1, keepdims=True)


def prompt_hash(prompt: str) -> str:
    """16 hexadecimal digits of the SHA-256 of a prompt."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass
class ScoreTable:
    """Scores of prompts.

    Attributes:
        scores: hashes of prompt, item set and model -> score.
        models: hash of a model -> its name.
        command: what made the table; empty if that is not known.
        repeats: hash of a model behind an endpoint -> how many requests were sent twice, and how many of them were
            answered in two ways.
    """

    scores: dict[Key, Score] = field(default_factory=dict, repr=False)
    models: dict[str, str] = field(default_factory=dict)
    command: str = ""
    repeats: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> ScoreTable:
        """A table from a file of `write` or `append`; a line that was cut off at the end is dropped.

        Raises:
            InputError: the file is missing or damaged.
        """
        where = escape_controls(str(path))
        try:
            with open(path, "rb", opener=only_regular) as file:
                content = file.read(MAX_TABLE_BYTES + 1)
            return parse_table(content, where)
        except OSError as error:
            raise InputError(
                f"the scores at {where} cannot be read ({error.strerror}): make them with rl-eval prompt score"
            ) from error

    def get(self, prompt: str, task: Task, model: str) -> Score:
        """The score of a prompt on the items of a task by a model (16 hexadecimal digits of its hash).

        Raises:
            InputError: it is not in the table; scores are never guessed.
        """
        score = self.scores.get((prompt_hash(prompt), task.item_set_hash(), model))
        if score is None:
            raise InputError(
                f"the table has no score of the prompt {brief(escape_controls(prompt), 60)!r} for the task "
                f"{task.name} by the model {model[:16]}: score it with rl-eval prompt score"
            )
        return score

    def holds(self, prompt: str, task: Task, model: str) -> bool:
        """Whether `get` has a score."""
        return (prompt_hash(prompt), task.item_set_hash(), model) in self.scores

    def write(self, path: Path) -> None:
        """Write one compact file, aside and renamed: the same bytes for the same table."""
        text = io.StringIO(newline="")
        header = {"schema": 1, "command": self.command, "models": dict(sorted(self.models.items()))}
        text.write(f"# {json.dumps(header)}\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for key, score in sorted(self.scores.items(), key=lambda entry: (entry[0][2], entry[0][1], entry[0][0])):
            writer.writerow((*key, *astuple(score)))
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def append(path: Path, entries: Iterable[tuple[Key, Score]], models: Mapping[str, str]) -> None:
    """Append scores to a file of JSON lines, each written at once and synced, so that work can be resumed.

    Raises:
        InputError: the file cannot be written.
    """
    _append_lines(path, [{"model": key[2], "name": models[key[2]], "prompt": key[0], "items": key[1],
                          "score": astuple(score)} for key, score in entries])  # fmt: skip


def append_repeats(path: Path, model: str, name: str, repeated: int, different: int) -> None:
    """Append how many requests to a model were sent twice, and how many of them were answered in two ways.

    Raises:
        InputError: the file cannot be written.
    """
    if repeated:
        _append_lines(path, [{"model": model, "name": name, "repeats": [repeated, different]}])


def _append_lines(path: Path, entries: Iterable[Mapping[str, object]]) -> None:
    try:
        with open(path, "ab+", opener=only_regular) as file:
            if file.tell():
                file.seek(0)
                if file.read(2) == _GZIP:
                    raise InputError(
                        f"the scores at {escape_controls(str(path))} are a compact table, which cannot be extended: "
                        "name a file of JSON lines"
                    )
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")  # the line before was cut off
            file.write("".join(f"{json.dumps(entry)}\n" for entry in entries).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"scores cannot be written to {escape_controls(str(path))} ({error.strerror})") from error


def parse_table(content: bytes, where: str) -> ScoreTable:
    """A table from bytes: the compact file, or JSON lines.

    Raises:
        InputError: they are damaged.
    """
    damaged = f"the scores at {where} are damaged"
    if content[:2] == _GZIP:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                content = file.read(MAX_TABLE_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{damaged} (no complete gzip): make them again with rl-eval prompt score") from error
    if len(content) > MAX_TABLE_BYTES:
        raise InputError(f"the scores at {where} have more than {MAX_TABLE_BYTES >> 20} MiB: use a smaller table")
    try:
        text = content.decode()
        return _from_csv(text) if text.startswith("# ") else _from_json_lines(text)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error) as error:
        raise InputError(f"{damaged}: make them again with rl-eval prompt score") from error


@lru_cache(maxsize=1)
def embedded_scores() -> ScoreTable:
    """Scores of every prompt that mutations make of the embedded start prompts, by two language models.

    Raises:
        InputError: this version was built without them.
    """
    file = resources.files("rl_eval.domains.prompt.scoring") / "embedded_scores.csv.gz"
    if not file.is_file():
        raise InputError("the scores of the embedded prompts are not installed: make them with rl-eval prompt score")
    return parse_table(file.read_bytes(), "embedded_scores.csv.gz")


def _from_csv(text: str) -> ScoreTable:
    first, _, rest = text.partition("\n")
    header = json.loads(first[2:])
    table = ScoreTable(
        models={str(key): str(name) for key, name in header["models"].items()}, command=str(header["command"])
    )
    rows = csv.reader(io.StringIO(rest, newline=""))
    if tuple(next(rows, ())) != _COLUMNS:
        raise ValueError("other columns")
    for row in rows:
        prompt, items, model, *figures = row
        table.scores[prompt, items, model] = _checked(figures)
    return table


def _from_json_lines(text: str) -> ScoreTable:
    table = ScoreTable()
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            if not is_cut_off(line, _LINE_BEGINNING):
                raise
            continue
        table.models[str(entry["model"])] = str(entry["name"])
        if "repeats" in entry:
            before, (repeated, different) = table.repeats.get(entry["model"], (0, 0)), entry["repeats"]
            if not 0 <= int(different) <= int(repeated):
                raise ValueError("no counts")
            table.repeats[entry["model"]] = before[0] + int(repeated), before[1] + int(different)
            continue
        key = (str(entry["prompt"]), str(entry["items"]), str(entry["model"]))
        table.scores[key] = _checked(entry["score"])
    return table


def is_cut_off(line: str, beginning: str) -> bool:
    """Whether a line is what a killed process may have left of one with a known beginning, or is blank."""
    return line.startswith(beginning) or beginning.startswith(line.strip())


def _checked(figures: Iterable[object]) -> Score:
    score = Score(*(float(figure) for figure in figures))  # type: ignore[arg-type]
    nats, shares = (score.log_likelihood, score.calibrated), (score.accuracy, score.calibrated_accuracy)
    is_mean = len(set(astuple(score))) == 1  # of answers or grades, all four are one share
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError("no shares")
    if not is_mean and not all(_LEAST_LOG_LIKELIHOOD <= one <= 0 for one in nats):
        raise ValueError("no log-likelihoods")
    return score
