"""`Controller`: drives a roll-out over the store and the registry; any number of them may run.

A pass reads the row and the aliases, counts units, decides, and changes the row by compare and swap. Aliases change
after the row says so (`promoting`, `rolling_back`), and a controller that finds such a row completes it. Where the
store or the registry is away, nothing changes: the servers go on with what they hold.

While the queue cannot be read, nothing advances, no unit counts and no time, since rewards that wait in it are missing;
errors and slow answers, which servers count in the store, are rolled back all the same.

Time in a step is what a controller watched, by a clock that never jumps; at most five minutes between two passes count.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from rl_eval.errors import InputError
from rl_eval.production.audit import AuditError, AuditLog
from rl_eval.production.canary.calls import read_calls
from rl_eval.production.canary.evidence import Decision, decide
from rl_eval.production.canary.row import Row
from rl_eval.production.canary.watching import SamePolicyError, Watcher, names_of
from rl_eval.production.canary_config import RolloutConfig
from rl_eval.production.registry import CHALLENGER, CHAMPION, Registry, StaleAliasError, check_files
from rl_eval.production.states import RUNNING, Event, State, next_state
from rl_eval.production.store import UnavailableError

MAX_GAP_S = 300.0
ROLLED_BACK = "rolled_back"  # the document of versions that were, with the reason
MOST_ROLLED_BACK = 200
_TRIES = 20
_ENDS = {"promoting": "promoted", "rolling_back": "rolled back"}
# A person's commands, and what has to happen although nothing can be logged.
_WITHOUT_AUDIT = ("roll_back", "abort", "done")


class Controller:
    """Drives the roll-outs of one policy.

    Args:
        store: a `Store`, or what has its documents and outcomes.
        registry: where aliases are.
        audit: where every change is logged.
        config: of the roll-out.
        steady, wall: clocks, in seconds; the first never jumps.
        read_queue: raises `InputError` where the queue cannot be read.

    Attributes:
        decided_on: the row that the latest pass decided on; a decision may have changed it since.
    """

    def __init__(
        self,
        store: Any,
        registry: Registry,
        audit: AuditLog,
        config: RolloutConfig,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        read_queue: Callable[[], Any] = lambda: None,
    ):
        self.store, self.registry, self.audit, self.config = store, registry, audit, config
        self._steady, self._read_queue = steady, read_queue
        self._offset = wall() - steady()
        self.watcher = Watcher(store, registry, config)
        self.decided_on = Row()
        self._seen: tuple[int, float] | None = None  # number of the row, and when this process saw it
        self.unlogged: list[tuple[str, str, dict[str, Any]]] = []

    def run_pass(self) -> Decision:
        """Look once, and do what follows; safe at any time and in any number of processes.

        Returns:
            What was decided, and why. Where the store, the registry or the audit log is away: hold.
        """
        try:
            self._log_rest()
            number, row = self._row()
            self.decided_on = row
            if row.state not in RUNNING:
                return self._rest(number, row)
            if (gone := self._alias_moved(row)) is not None:
                self._apply(number, row, "roll_back", gone, "controller")
                return Decision("roll_back", "aliases", gone)
            try:
                return self._watch(number, row)
            except SamePolicyError as error:
                self._apply(number, row, "abort", str(error), "controller")
                return Decision("roll_back", "aliases", str(error))
        except InputError as error:
            return Decision("hold", "availability", str(error))

    def command(self, event: Event, reason: str, actor: str, version: int | None = None) -> Row:
        """A person's command, which is logged with its reason.

        Args:
            version: for `pin`.

        Raises:
            RefusedEventError: it makes no sense now.
            InputError: no reason, no such version, or the store, the registry or the audit log is away.
        """
        if not reason.strip():
            raise InputError(f"{event} needs a reason, which is logged: add --reason '...'")
        if version is not None:
            self.registry.version(version)
        for _ in range(_TRIES):
            try:
                number, row = self._row()
            except UnavailableError as error:
                if event != "abort":
                    raise
                return self._abort_by_alias(Row(), reason, actor, str(error))
            if event == "resume" and row.state == "pinned":
                event = "unpin"
            if row.state in ("promoting", "rolling_back"):  # first things first
                self._complete(number, row)
                continue
            if event == "abort" and row.state not in RUNNING and CHALLENGER in self.registry.aliases():
                return self._abort_by_alias(row, reason, actor)
            changed = self._apply(number, row, event, reason, actor, version)
            if changed is not None:
                if event == "abort" and CHALLENGER in self.registry.aliases():  # another one than that of the row
                    return self._abort_by_alias(changed, reason, actor)
                return changed
        raise UnavailableError(f"the row of the roll-out changed {_TRIES} times meanwhile: try again")

    def row(self) -> Row:
        """Where the roll-out is.

        Raises:
            UnavailableError: the store is away.
        """
        return self._row()[1]

    def _row(self) -> tuple[int, Row]:
        document = self.store.document()
        return document.number, Row.parse(document.body)

    def _now(self) -> float:
        return self._offset + self._steady()

    def _away(self) -> str:
        """Why nothing may advance: the queue cannot be read; empty where it can."""
        try:
            self._read_queue()
        except InputError as error:
            return f"nothing advances and no time counts while the queue cannot be read: {error}"
        return ""

    def _rest(self, number: int, row: Row) -> Decision:
        """Where no roll-out runs: complete what ended, hold what is pinned, begin what waits."""
        if row.state in ("promoting", "rolling_back"):
            self._complete(number, row)
            return Decision("hold", "aliases", f"completed: {_ENDS[row.state]}")
        aliases = self.registry.aliases()
        if row.state == "pinned":
            if aliases.get(CHAMPION) != row.target or CHALLENGER in aliases:
                self._log("pin_restored", "controller", {"version": row.target, "aliases": dict(aliases)})
                self.registry.move({CHAMPION: row.target, CHALLENGER: None})
                moved = ", ".join(f"{alias} of version {number}" for alias, number in sorted(aliases.items()))
                sentence = f"version {row.target} is pinned, so these aliases were undone: {moved or 'none'}"
                return Decision("hold", "undone", sentence)
            return Decision("hold", "pinned", f"version {row.target} is pinned ({row.reason})")
        challenger, champion = aliases.get(CHALLENGER), aliases.get(CHAMPION)
        if challenger is None:
            return Decision("hold", "idle", "no roll-out runs")
        if champion is None:
            return Decision("hold", "idle", "there is no champion to compare with: set that alias first")
        try:
            names_of(self.registry, challenger, champion)
        except SamePolicyError as error:  # its alias would hold trainings up for ever
            self._log("challenger_refused", "controller", {"challenger": challenger, "reason": str(error)})
            self.registry.move({CHALLENGER: None}, {CHALLENGER: challenger})
            sentence = f"version {challenger} is no longer the challenger: {error}"
            return Decision("hold", "undone", sentence)
        if away := self._away():
            return Decision("hold", "availability", away)
        event: Event = "begin_shadow" if self.config.shadow else "begin"
        self._apply(number, row, event, f"version {challenger} against {champion}", "controller")
        return Decision("hold", "time", "the roll-out has begun")

    def _alias_moved(self, row: Row) -> str | None:
        aliases = self.registry.aliases()
        for alias, expected in ((CHALLENGER, row.challenger), (CHAMPION, row.champion)):
            if aliases.get(alias) != expected:
                now = aliases.get(alias)
                return f"the alias {alias} was moved from version {expected} to {now or 'none'} by somebody else"
        return None

    def _watch(self, number: int, row: Row) -> Decision:
        state: State = row.previous if row.state == "paused" and row.previous else row.state
        assert state in ("shadow", "canary", "full")
        away, steady = self._away(), self._steady()
        watched = self.watcher.look(row, state, self._now(), steady, units=not away)
        gap = steady - self._seen[1] if self._seen is not None and self._seen[0] == number else 0.0
        counted = 0.0 if row.state == "paused" or away else min(max(gap, 0.0), MAX_GAP_S)
        row = dataclasses.replace(row, elapsed=row.elapsed + counted)
        decision = decide(
            self.config, state, watched.rewards, watched.guards, row.elapsed, watched.reader.challenger_decisions
        )
        if decision.verdict != "roll_back" or decision.figure == "time":
            if away:
                decision = Decision("hold", "availability", away)
            elif row.state == "paused":
                decision = Decision("hold", "paused", f"paused ({row.reason}); {decision.sentence}")
        if decision.verdict == "hold":
            # A controller that sees that another has counted this time does not write, so that one of them counts.
            if counted and self.store.swap_document(number, row.body()):
                number += 1
            self._seen = (number, steady)
            return decision
        event = "roll_back" if decision.verdict == "roll_back" else self._forward(state, row)
        if self._apply(number, row, event, f"{decision.figure}: {decision.sentence}", "controller") is None:
            return Decision("hold", "availability", "another process changed the row meanwhile")
        return decision

    def _forward(self, state: State, row: Row) -> Event:
        if state == "full":
            return "complete"
        return "fill" if state == "canary" and row.step + 1 >= len(self.config.steps) else "advance"

    def _apply(
        self, number: int, row: Row, event: Event, reason: str, actor: str, version: int | None = None
    ) -> Row | None:
        """An event: the row after it, or None where somebody else was first."""
        target = next_state(row.state, event, row.previous)  # raises where the event is refused
        facts = {
            "from": row.state, "to": target, "challenger": row.challenger, "champion": row.champion,
            "share": row.share, "reason": reason, "row": number,
        }  # fmt: skip
        if target in ("promoting", "pinned") or event in ("begin", "begin_shadow"):
            aliases = self.registry.aliases()  # before anything is changed, where the registry is away
        else:
            aliases = {}
        if event == "pin" and version is None:
            raise InputError("pin needs a version: name its number in the registry")
        serves = {"promoting": row.challenger, "pinned": version}.get(target)
        if event in ("begin", "begin_shadow"):
            serves = aliases.get(CHALLENGER)
        if serves is not None:
            check_files(self.registry, serves)
        changed = row.after(event, reason, self._now(), self.config.steps, version)
        if event in ("begin", "begin_shadow"):
            calls = {version: list(dataclasses.astuple(part)) for version, part in read_calls(self.store).items()}
            changed = dataclasses.replace(
                changed, challenger=aliases.get(CHALLENGER), champion=aliases.get(CHAMPION), calls=calls
            )
        facts |= {"challenger": changed.challenger, "share_after": changed.share, "version": version}
        if event not in _WITHOUT_AUDIT:
            self._log(event, actor, facts)
        if not self.store.swap_document(number, changed.body()):
            if event not in _WITHOUT_AUDIT:
                self._log("superseded", actor, {"event": event, "row": number})
            return None
        if event in _WITHOUT_AUDIT:
            self._log_or_keep(event, actor, facts)
        self._seen = None
        if target in ("promoting", "rolling_back"):
            return self._complete(number + 1, changed)
        if target == "pinned":
            self.registry.move({CHAMPION: version, CHALLENGER: None})
        return changed

    def _complete(self, number: int, row: Row) -> Row:
        """Change the aliases as the row says, and end the roll-out; returns the row after it."""
        aliases = self.registry.aliases()
        moved, ending = False, _ENDS[row.state]
        try:
            if row.state == "promoting":
                if aliases.get(CHAMPION) != row.target:
                    self.registry.move({CHAMPION: row.target, CHALLENGER: None}, {CHAMPION: row.champion})
                    moved = True
                elif aliases.get(CHALLENGER) == row.target:
                    self.registry.move({CHALLENGER: None}, {CHALLENGER: row.target})
            elif row.challenger is not None and aliases.get(CHALLENGER) == row.challenger:
                self.registry.move({CHALLENGER: None}, {CHALLENGER: row.challenger})
                moved = True
        except StaleAliasError as error:
            ending = f"not {ending}, since somebody else moved an alias ({error})"
        ended = dataclasses.replace(
            row, state="idle", challenger=None, champion=None, target=None, share=0.0, shadow=False, calls={},
            outcome=f"version {row.challenger} {ending}: {row.reason}"[:2000],
        )  # fmt: skip
        if row.state == "rolling_back" and row.challenger is not None:
            self._note_rolled_back(row.challenger, row.reason)
        if self.store.swap_document(number, ended.body()):
            facts = {"outcome": ended.outcome, "aliases_moved": moved, "row": number}
            self._log_or_keep("alias_change", "controller", facts)
        return ended

    def _note_rolled_back(self, version: int, reason: str) -> None:
        """Keep which versions were rolled back, for the status page; the audit log has it all."""
        document = self.store.document(ROLLED_BACK)
        earlier = {key: value for key, value in document.body.items() if key != str(version)}
        versions = {**earlier, str(version): reason[:200]}
        self.store.swap_document(document.number, dict(list(versions.items())[-MOST_ROLLED_BACK:]), ROLLED_BACK)

    def _abort_by_alias(self, row: Row, reason: str, actor: str, away: str | None = None) -> Row:
        """Take the challenger's alias away, for any state of the store; a controller ends a roll-out that its row has.

        Args:
            away: why the store cannot be used; None: it can.
        """
        challenger = self.registry.aliases().get(CHALLENGER)
        self._log_or_keep("abort", actor, {"reason": reason, "challenger": challenger, "store": away})
        self.registry.move({CHALLENGER: None})
        outcome = f"version {challenger} is no longer the challenger" if challenger else "no version was the challenger"
        rest = "" if away is None else f"; the store is away, and a controller updates it later ({away})"
        return dataclasses.replace(row, reason=reason, outcome=f"aborted: {outcome}{rest}")

    def _log(self, event: str, actor: str, facts: dict[str, Any]) -> None:
        self.audit.append(event, actor, facts)

    def _log_or_keep(self, event: str, actor: str, facts: dict[str, Any]) -> None:
        """Log what has happened; where the log is away, as soon as it is back."""
        try:
            self._log(event, actor, facts)
        except AuditError:
            self.unlogged.append((event, actor, facts))

    def _log_rest(self) -> None:
        if self.unlogged:
            self.audit.append_all(self.unlogged)
            self.unlogged.clear()
