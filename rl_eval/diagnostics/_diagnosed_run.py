"""`DiagnosedRun`: the data of a run that diagnostics read: its files, and episodes of its judged policy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from rl_eval.domains import EnvConfig, domain, needs_trust, validate
from rl_eval.errors import TRUST_IT, InputError
from rl_eval.judged_policy import JudgedPlay, play_judged_policy, validation_seeds
from rl_eval.plugins import require_plugins_of_run
from rl_eval.run import RunRecord, read_record

EPISODES = 5
SLOW_EPISODES = 2  # where an action takes long
MAX_STEPS = 2_000  # of one copy


@dataclass(frozen=True)
class DiagnosedRun(RunRecord):
    """A run record with the judged policy at play. What is missing is None or empty, and diagnostics find nothing then.

    Attributes:
        trust: whether modules that the run names may be imported: plugins, and that of a `module:` environment.
    """

    trust: bool = False

    @cached_property
    def environment(self) -> EnvConfig | None:
        """The checked environment of the run; None if this version does not know it, or if trust is needed."""
        try:
            environment = validate(self.config["env"])
        except (KeyError, TypeError, ValidationError, InputError):
            return None
        if not self.trust and (why := needs_trust(environment)):
            self.missing.append(f"{why}: {TRUST_IT}")
            return None
        return environment

    @cached_property
    def played(self) -> JudgedPlay | None:
        """The judged policy, greedy, on episodes that no gate plays; None if it cannot be played here."""
        return self._play(greedy=True)

    @cached_property
    def sampled(self) -> JudgedPlay | None:
        """The same with sampled actions, as in training."""
        return self._play(greedy=False)

    def _play(self, *, greedy: bool) -> JudgedPlay | None:
        if self.environment is None or self.snapshot is None:
            return None
        count = SLOW_EPISODES if domain(self.environment.name).is_slow(self.environment) else EPISODES
        try:
            return play_judged_policy(
                self.path,
                self.environment,
                seeds=validation_seeds(self.environment, seed=self.seed, purpose="doctor", count=count),
                seed=self.seed,
                max_steps=MAX_STEPS,
                greedy=greedy,
                record_observations=True,
            )
        except Exception as error:  # the environment or its data may be anyone's
            self.add_missing("the policy at play", error)
        return None

    def add_missing(self, what: str, error: Exception) -> None:
        """Note, once, what could not be read or played, and why."""
        message = " ".join(str(error).split())
        if not isinstance(error, InputError):
            message = f"{type(error).__name__}: {message[:300]}"
        sentence = f"{what}: {message}"
        if sentence not in self.missing:
            self.missing.append(sentence)


def diagnosed_run(record: RunRecord, *, trust: bool = False) -> DiagnosedRun:
    """A run record for diagnostics."""
    missing = list(record.missing)
    try:
        require_plugins_of_run(record.path, record.config, trust=trust)
    except InputError as error:
        missing.append(str(error))
    return DiagnosedRun(record.path, record.info, record.config, record.curves, missing, trust)


def read_diagnosed_run(path: Path | str, *, trust: bool = False) -> DiagnosedRun:
    """Read a run directory.

    Raises:
        InputError: it is not a run, or one of its files is damaged, a link, or too large.
    """
    return diagnosed_run(read_record(path), trust=trust)
