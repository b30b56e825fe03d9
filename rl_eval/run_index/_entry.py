"""`Entry`: what a list of runs shows of one, read from its files with limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl_eval.domains import DEFAULT
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.run import STATUSES, finite, read_info, read_run, read_verdicts, worst_decision

MAX_NAME = 200  # characters of a name from a file
MAX_SUITES = 50
MAX_STEPS = 1 << 62
_DECISIONS = ("ERROR", "FAIL", "INCONCLUSIVE", "NEEDS_RUNS", "PASS", "NOT_CHECKED", "NONE")


@dataclass(frozen=True)
class SuiteResult:
    """What a suite decided on a run.

    Attributes:
        part: what it played, `test` or `validation`.
        decision: the worst of its criteria.
        passed, criteria: how many passed, of how many.
    """

    suite: str
    part: str
    decision: str
    passed: int
    criteria: int


@dataclass(frozen=True)
class Entry:
    """One run directory.

    Attributes:
        path: relative to the folder of outputs, with `/`.
        env: the environment's name; of a Gymnasium id, the id.
        started: ISO 8601; empty if it is not known.
        env_steps: that were trained.
        machine_s: seconds of training and judging.
        metric, score: the validation metric, and its value for the judged snapshot.
        problem: why the run, or its verdict, cannot be read; None if both can.
    """

    path: str
    status: str
    env: str = ""
    agent: str = ""
    seed: int | None = None
    started: str = ""
    env_steps: int | None = None
    machine_s: float | None = None
    metric: str | None = None
    score: float | None = None
    suites: tuple[SuiteResult, ...] = ()
    problem: str | None = None

    @property
    def decision(self) -> str:
        """The worst of its suites; NONE if none has judged it."""
        return worst_decision(suite.decision for suite in self.suites)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def to_json(self) -> str:
        """One line of ASCII; `from_json` takes it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """The inverse of `to_json`, every field checked.

        Raises:
            ValueError: not such a line.
        """
        try:
            values = json.loads(text)
            suites = tuple(SuiteResult(**suite) for suite in values.pop("suites"))
            entry = cls(**values, suites=suites)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError("not an entry") from error
        texts = [entry.path, entry.env, entry.agent, entry.started, entry.metric or "", entry.problem or ""]
        texts += [text for suite in suites for text in (suite.suite, suite.part)]
        counts = [
            entry.env_steps,
            entry.seed,
            *(number for suite in suites for number in (suite.passed, suite.criteria)),
        ]
        good = (
            all(isinstance(text, str) for text in texts)
            and all(count is None or _whole(count) is not None for count in counts)
            and all(value is None or finite(value) is not None for value in (entry.machine_s, entry.score))
            and all(suite.decision in _DECISIONS for suite in suites)
            and (entry.status in STATUSES or entry.status == "unreadable")
        )
        if not good:
            raise ValueError("not an entry")
        return entry


def read_entry(directory: Path, path: str) -> Entry:
    """The entry of a run directory. What cannot be read is its `problem`; nothing is raised.

    Args:
        path: of the entry.
    """
    try:
        info = read_info(directory)
        # Only runs of other programs lack these.
        config = {} if {"env", "agent", "metric"} <= info.keys() else read_run(directory).config
    except InputError as error:
        return Entry(path, "unreadable", problem=brief(str(error)))
    problem, suites = None, tuple[SuiteResult, ...]()
    try:
        suites = _suites(directory)
    except InputError as error:
        problem = brief(str(error))
    metric = info.get("metric", _section(config, "validation").get("metric"))
    results = info.get("results")
    score = finite(results.get(metric)) if isinstance(results, Mapping) and isinstance(metric, str) else None
    cost = _section(_section(info, "cost"), "total").get("machine_s")
    return Entry(
        path,
        info["status"],
        env=_environment(info, config),
        agent=_name(info.get("agent") or _section(config, "agent").get("name")),
        seed=_whole(info.get("seed", config.get("seed"))),
        started=_name(info.get("started")),
        env_steps=_whole(info.get("env_steps")),
        machine_s=finite(cost) if cost is not None else finite(info.get("wall_s")),
        metric=_name(metric) or None,
        score=finite(info.get("validation_score")) if score is None else score,
        suites=suites,
        problem=problem,
    )


def _environment(info: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    env = _section(config, "env")
    name = _name(info.get("env") or env.get("name"))
    return (_name(info.get("env_id") or env.get("id")) or name) if name == DEFAULT else name


def _suites(directory: Path) -> tuple[SuiteResult, ...]:
    file = directory / "verdict.json"
    if not file.is_symlink() and not file.is_file():
        return ()
    results = []
    for suite in read_verdicts(directory)[:MAX_SUITES]:
        decisions = [str(row.get("decision")) for row in suite["criteria"]]
        if not set(decisions) <= set(_DECISIONS):
            raise InputError(f"{file} has a decision that does not exist: judge the run again")
        part = "test" if suite.get("part") == "test" else "validation"
        passed = decisions.count("PASS")
        results.append(SuiteResult(_name(suite.get("suite")), part, worst_decision(decisions), passed, len(decisions)))
    return tuple(results)


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = values.get(key)
    return section if isinstance(section, Mapping) else {}


def _name(value: Any) -> str:
    return value[:MAX_NAME] if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_STEPS else None
