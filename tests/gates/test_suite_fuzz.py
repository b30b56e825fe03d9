"""A seeded fuzz of suite files: each is a suite or one sentence, in bounded time, and nothing is left behind."""

from __future__ import annotations

import copy
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rl_eval.domains import DOMAINS
from rl_eval.errors import InputError
from rl_eval.gates import is_suite_file, load_suite, needs_path, train_command

SHIPPED = sorted((Path(__file__).parents[2] / "suites").glob("*.yaml"))
TEXTS = [path.read_text(encoding="utf-8") for path in SHIPPED]
WORDS = [
    "", " ", "x", "0", "1e-3", "null", "no", "é", "\u202e", "日本", "\0", "\x1b[2J", "a.b", "..", "/", "<<", "=",
    "*", "random", "constant:*", "constant:", "untrained:x", "onnx:", "lft:x", "python:os:getcwd",
    "http://a@b:99999999/", "baseline:x", "mean_return", "f1", "f1_seed_std", "training.", "training.x",
    "diagnostic.x", "<x>", "mean_return_seed_std_seed_std", "os:CartPole-v1", "CartPole-v1", "NoSuch-v9",
    "x" * 5000, "2024-01-01", "0x10", "1:2:3", "~", "{", "%", "rest:http://x",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 2**31, 2**32, 2**63,
    2**64, 10**30, 10**150, -(10**150), 0.05, 0.5, True, False,
]  # fmt: skip
KEYS: list[Any] = [
    "rl_eval", "plugins", "env", "judge_on", "data", "data_sha256", "policy", "train", "runs", "alpha", "episodes",
    "population", "units", "gate_seed", "controls", "attainable", "leaks", "near_duplicates", "share", "rounding",
    "criteria", "metric", "diagnostic",
    "at_least", "at_most", "better_than", "margin", "factor", "by", "count", "same_seed", "max", "fixed",
    "return_bounds", "name", "id", "kwargs", "path", "copies", "workers", "backend", "seed", "agent", "held_out", "x",
    "", "é", 1, 0.5, None, True, "a b", "k" * 5000, "__class__", "model_config",
]  # fmt: skip
CHARACTERS = list("[]{}:,&*!|>'\"%@`#-?\n\t ~=<\\0aé\u2028\ufeff\x00\x85")
LINES = [
    "criteria: {}", "env: threat", "env: {name: []}", "env: []", "[1]: 2", "? {a: 1}", "<<: {a: 1}", "x: &x [*x]",
    "x: *y", "- 1", "rl_eval: 1", "rl_eval: '1'", "x: !!set {a}", "x: !!int y", "x: !!python/name:os.system",
    "train: {seed: [1, 2]}", "a: &a {b: 1}\nc: {<<: [*a, *a]}", "x: " + "[" * 200, "x: |\n  a", "...", "---",
    "%YAML 9.9", "plugins: [os.path]",
]  # fmt: skip


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any value that YAML can hold."""
    kind = rng.randrange(9 if depth < 3 else 4)
    if kind < 2:
        return rng.choice(WORDS)
    if kind < 4:
        return rng.choice([*NUMBERS, None])
    if kind == 4:
        return rng.choice([*DOMAINS])
    if kind == 5:
        nested: Any = []
        for _ in range(rng.choice([1, 10, 40])):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def places(values: Any) -> list[tuple[Any, Any]]:
    """Every container and key in nested values."""
    pairs = (
        list(values.items())
        if isinstance(values, dict)
        else list(enumerate(values))
        if isinstance(values, list)
        else []
    )
    return [(values, key) for key, _ in pairs] + [place for _, child in pairs for place in places(child)]


def change_values(rng: random.Random, text: str) -> str:
    """The same suite with some values replaced, removed, renamed, added or moved."""
    values = copy.deepcopy(yaml.safe_load(text))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        found = places(values)
        if not found:
            break
        container, key = rng.choice(found)
        action = rng.randrange(6)
        if action < 2:
            container[key] = value(rng)
        elif action == 2:
            del container[key]
        elif action == 3 and isinstance(container, dict):
            container[rng.choice(KEYS)] = container.pop(key)
        elif action == 4 and isinstance(container, dict):
            container[rng.choice(KEYS)] = value(rng)
        else:
            other, other_key = rng.choice(found)
            container[key] = copy.deepcopy(other[other_key])
    return yaml.safe_dump(
        values, sort_keys=False, allow_unicode=rng.random() < 0.5, default_flow_style=rng.random() < 0.3
    )


def change_text(rng: random.Random, text: str) -> str:
    """The same text with some characters or lines removed, inserted or repeated."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        lines, at = text.split("\n"), rng.randrange(len(text) + 1)
        row = rng.randrange(len(lines))
        action = rng.randrange(7)
        if action == 0:
            text = text[:at] + rng.choice(CHARACTERS) + text[at:]
        elif action == 1:
            text = text[:at] + text[at + rng.randrange(1, 20) :]
        elif action == 2:
            text = text[:at]
        elif action == 3:
            text = "\n".join([*lines[:row], lines[row], *lines[row:]])
        elif action == 4:
            text = "\n".join([*lines[:row], rng.choice(LINES), *lines[row:]])
        elif action == 5:
            text = text.replace(": ", rng.choice([": &a ", ": *a ", ": !!str ", ":\t", " : "]), 1 + rng.randrange(2))
        else:
            text = rng.choice(
                ["\ufeff" + text, text.replace("\n", "\r\n"), text * 2, text + "---\n" + text, text[at : at + 40] * 500]
            )
    return text


def fuzzed_suite(rng: random.Random) -> bytes:
    """A suite file, most of them broken in one or a few places."""
    text = rng.choice(TEXTS)
    changes: list[Callable[[random.Random, str], str]] = [change_values, change_text]
    changed = rng.choices(changes, [3, 2])[0](rng, text)
    encoding = "utf-16" if rng.random() < 0.01 else "latin-1" if rng.random() < 0.01 else "utf-8"
    return changed.encode(encoding, "replace")


def check(content: bytes, path: Path) -> str:
    """`suite` or the sentence, as collecting the file would give it; fails where it is neither."""
    path.write_bytes(content)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        is_suite_file(path)
        try:
            suite = load_suite(path, label="suites/fuzzed.yaml")
            needs_path(suite)
            train_command(suite)
            outcome = "suite"
        except InputError as error:
            outcome = str(error)
            assert outcome.startswith("suites/fuzzed.yaml"), outcome
            assert "\n" not in outcome, outcome
            assert len(outcome) < 2000, outcome
    assert time.process_time() - start < 5
    assert [*path.parent.iterdir()] == [path]
    return outcome


def fuzz(folder: Path, seeds: range) -> list[str]:
    """The outcomes; a seed that fails is named."""
    outcomes = []
    for seed in seeds:
        try:
            outcomes.append(check(fuzzed_suite(random.Random(seed)), folder / "fuzzed.yaml"))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {(folder / 'fuzzed.yaml').read_bytes()[:1000]!r}") from error
    return outcomes


def test_a_fuzzed_suite_is_a_suite_or_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcomes = fuzz(tmp_path, range(150))
    assert 5 < outcomes.count("suite") < 120  # both happen
    assert len(set(outcomes)) > 40


@pytest.mark.verify
def test_thousands_of_fuzzed_suites(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fuzz(tmp_path, range(1000, 6000))
