"""The pytest items of a suite: its criteria, then `controls`, `attainable` and `held_out`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rl_eval.errors import InputError
from rl_eval.formatting import display_text, number, short_path
from rl_eval.pytest_plugin._session import SESSION
from rl_eval.pytest_plugin._summary import INTERVAL_ENDS, NOT_JUDGED, TRAIN_COMMAND

if TYPE_CHECKING:
    from rl_eval.gates import CriterionVerdict, Suite

# What a report carries to the summary, to --junitxml and through xdist.
_PROPERTIES = (
    "suite", "criterion", "metric", "by", "decision", "estimate", "direction", "threshold", "units",
    "units_max", "unit", "decided_at", "more", "population", "reference", "factor", "run", "detail",
)  # fmt: skip
_WITHOUT_RUN = ("suite", "criterion", "metric", "by", "decision", "direction", "threshold", "detail")


class SuiteFile(pytest.File):
    """One acceptance suite."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its criteria in the order of the file, then `controls` and the like."""
        from rl_eval.gates import load_suite

        try:
            suite = load_suite(self.path, label=self.nodeid, trust=self.config.getoption("rl_eval_trust"))
            suite = self.config.stash[SESSION].with_release(self.config.stash[SESSION].with_data(suite))
        except InputError as error:
            raise self.CollectError(display_text(str(error))) from None
        for name, line in suite.items.items():
            yield SuiteItem.from_parent(self, name=name, suite=suite, line=line)


class SuiteItem(pytest.Item):
    """One criterion or the like: an error where it cannot be judged, a failure where it is missed or undecided.

    What cannot be checked is skipped.
    """

    def __init__(self, *, suite: Suite, line: int, **keywords: Any):
        super().__init__(**keywords)
        self.suite, self._line = suite, line
        self._verdict: CriterionVerdict | None = None

    def setup(self) -> None:
        """Obtain the verdict; the first criterion of a suite plays its episodes."""
        suite_verdict = self.config.stash[SESSION].verdict_of(self.suite)
        verdict = next(criterion for criterion in suite_verdict.criteria if criterion.criterion == self.name)
        self.user_properties.extend(("passed_over", sentence) for sentence in suite_verdict.passed_over)
        first = self._first_with(verdict.detail) if verdict.decision == "ERROR" else self
        if not suite_verdict.runs:  # nothing of the suite can be judged: the first item says why
            self.user_properties.append((NOT_JUDGED, verdict.detail))
            if suite_verdict.train_command:
                self.user_properties.append((TRAIN_COMMAND, suite_verdict.train_command))
            self._add_properties(verdict, _WITHOUT_RUN, verdict.detail)
            if first is not self:
                pytest.skip(f"not judged: see {first.nodeid}")
            pytest.fail(verdict.detail, pytrace=False)
        self.user_properties.extend(pair for pair in suite_verdict.facts() if pair[1])
        if cost := self.config.stash[SESSION].cost_of(self.suite):
            self.user_properties.append(("cost", cost))
        detail = verdict.detail if first is self else f"as {first.nodeid}"
        self._add_properties(verdict, _PROPERTIES, detail)
        ends = zip(INTERVAL_ENDS, verdict.interval or (None, None), strict=True)
        self.user_properties.extend((name, end) for name, end in ends if end is not None)
        self.user_properties.append(("part", suite_verdict.part))
        if verdict.decision == "ERROR":
            pytest.fail(detail, pytrace=False)
        if verdict.decision == "NOT_CHECKED":  # neither a pass nor a failure
            pytest.skip(f"not checked: {detail}")
        self._verdict = verdict

    def _add_properties(self, verdict: CriterionVerdict, names: Sequence[str], detail: str) -> None:
        values = [(name, detail if name == "detail" else getattr(verdict, name)) for name in names]
        self.user_properties.extend((name, value) for name, value in values if value is not None)

    def _first_with(self, detail: str) -> SuiteItem:
        """The first item of this session and suite that is an error for the same reason."""
        verdict = self.config.stash[SESSION].verdict_of(self.suite)
        same = {one.criterion for one in verdict.criteria if one.decision == "ERROR" and one.detail == detail}
        items = (
            item for item in self.session.items if isinstance(item, SuiteItem) and item.suite.path == self.suite.path
        )
        return next((item for item in items if item.name in same), self)

    def runtest(self) -> None:
        """Fail where the criterion is not passed."""
        assert self._verdict is not None
        if self._verdict.decision != "PASS":
            findings = self.config.stash[SESSION].doctor.new_findings_of(self.suite.path, self._verdict.run)
            pytest.fail("\n".join([self._sentence(), *self._episodes(), *findings]), pytrace=False)

    def _sentence(self) -> str:
        assert self._verdict is not None
        detail, run = self._verdict.detail, self._verdict.run
        return detail if run is None or run in detail else f"{detail} (run {run})"

    def _episodes(self) -> list[str]:
        """A line on the worst episodes, with the command that plays the first of them; empty if none is known."""
        from rl_eval.gates.worst_episodes import replay_command

        assert self._verdict is not None
        run, worst = self._verdict.run, self._verdict.worst
        if not worst or run is None or not Path(run).is_dir():
            return []
        seeds = ", ".join(f"{seed} ({number(value)})" for seed, value in worst)
        return [f"worst episodes by seed: {seeds}: `{replay_command(run, worst[0][0], str(short_path(self.path)))}`"]

    def reportinfo(self) -> tuple[Path, int, str]:
        """File and line of the criterion."""
        return self.path, self._line - 1, self.nodeid
