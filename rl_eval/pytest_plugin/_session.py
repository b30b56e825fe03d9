"""The verdicts of a pytest session: each suite is judged once, in the process that needs it first."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rl_eval.errors import InputError, failure
from rl_eval.formatting import display_text, short_path
from rl_eval.pytest_plugin import _train_missing
from rl_eval.pytest_plugin._cache_key import has_local_plugin, verdict_key
from rl_eval.pytest_plugin._doctor import Doctor
from rl_eval.pytest_plugin._run_by_word import WORDS, run_by_word
from rl_eval.pytest_plugin._shared_folder import SharedFolder
from rl_eval.pytest_plugin._sudden_exit import refused_exits

if TYPE_CHECKING:
    from rl_eval.cost import Rate
    from rl_eval.gates import DataPlaces, Selection, Suite, SuiteVerdict
    from rl_eval.gates.release import Release
    from rl_eval.launchers import Launcher

SHARED = "rl_eval_shared"


class GateSession:
    """Judges each suite once per session, however many processes take part.

    Raises:
        InputError: `--rl-data`, `--rl-workers`, `--rl-machine` or `--rl-against` cannot be understood.
    """

    def __init__(self, config: pytest.Config):
        self._config = config
        self._verdicts: dict[Path, SuiteVerdict] = {}
        self._selections: dict[Path, Selection] = {}
        self.deselected: list[str] = []
        self._costs: dict[Path, str] = {}
        self._places: DataPlaces | None = None
        if texts := config.getoption("rl_eval_data"):
            from rl_eval.gates import parse_places

            self._places = parse_places(texts, config.invocation_params.dir)
        self._launcher: Launcher | None = None
        self._workers = None
        if text := config.getoption("rl_eval_workers"):
            from rl_eval.pytest_plugin._workers import workers_settings

            self._workers = workers_settings(text)
        if config.getoption("rl_eval_machine") or config.getoption("rl_eval_prices"):
            self._rate  # noqa: B018  # a mistake in them is reported before anything is judged
        self._release  # noqa: B018  # as above
        self.shared = SharedFolder(getattr(config, "workerinput", {}).get(SHARED))
        self.doctor = Doctor(
            self.shared,
            config.invocation_params.dir,
            cached=self._uses_cache,
            trust=config.getoption("rl_eval_trust"),
        )

    @cached_property
    def _release(self) -> Release | None:
        """What policies may not be worse than."""
        if not (name := self._config.getoption("rl_eval_against")):
            return None
        from rl_eval.gates import read_release

        return read_release(name, self._config.invocation_params.dir)

    @cached_property
    def _rate(self) -> Rate:
        """What an hour of this machine costs."""
        from rl_eval.cost import chosen_machine, read_prices

        prices = self._config.getoption("rl_eval_prices")
        return chosen_machine(
            read_prices(self.path(prices) if prices else None), self._config.getoption("rl_eval_machine"), gpu=None
        )

    def require_known_places(self, suites: Iterable[Suite]) -> None:
        """Refuse a name in `--rl-data` that no collected suite has.

        Raises:
            InputError: no suite would use the place.
        """
        if self._places:
            self._places.require_known(suites)

    def with_data(self, suite: Suite) -> Suite:
        """The suite on the data that `--rl-data` names for it, where it names none itself and that data exists."""
        from rl_eval.gates import with_data

        place = self._places.of(suite) if self._places else None
        return with_data(suite, place) if place is not None and place.exists() else suite

    def with_release(self, suite: Suite) -> Suite:
        """The suite with the criteria that `--rl-against` adds.

        Raises:
            InputError: a criterion has the name of one of them.
        """
        from rl_eval.gates import with_release

        return suite if self._release is None else with_release(suite, self._release)

    def missing(self, suite: Suite) -> str | None:
        """What a suite needs and does not have: extras, or data that neither it nor `--rl-data` provides; else None."""
        from rl_eval.gates import missing_extras, needs_path
        from rl_eval.gates.data_places import data_name

        missing = missing_extras(suite.spec.needs)
        if needs_path(suite):
            place = self._places.of(suite) if self._places else None
            missing.append(f"no {f'--rl-data {data_name(suite)}=PATH' if place is None else place}")
        return "; ".join(missing) or None

    def header(self, suites: Iterable[Suite]) -> list[str]:
        """What each suite judges, as far as that is known before anything is trained; problems are the items'."""
        from rl_eval.gates import judged_lines

        lines = []
        for suite in {suite.path: suite for suite in suites}.values():
            try:
                selection = self._select(suite)
            except (Exception, SystemExit):  # the suite's first item reports it
                continue
            self._selections[suite.path] = selection
            first, *others = judged_lines(suite, selection)
            lines += [f"{suite.label} judges {first}", *(f"  {line}" for line in others)]
        return [display_text(line) for line in lines]

    def verdict_of(self, suite: Suite) -> SuiteVerdict:
        """The verdict of a suite, from this process, from another, or by judging now."""
        if suite.path not in self._verdicts:
            name = f"verdict-{_key(suite)}"
            with self.shared.lock(name):
                self._verdicts[suite.path] = self._read_shared(name) or self._evaluate(suite, name)
        return self._verdicts[suite.path]

    def verdicts(self) -> list[SuiteVerdict]:
        """Those of this session, by file, also from workers that share a folder with this process."""
        from rl_eval.gates import SuiteVerdict

        found = {verdict.file: verdict for verdict in self._verdicts.values()}
        for values in self.shared.read_all("verdict-"):
            verdict = SuiteVerdict.from_json(values)
            found.setdefault(verdict.file, verdict)
        return [found[name] for name in sorted(found)]

    def cost_of(self, suite: Suite) -> str:
        """What it took to judge a suite in this session; empty if its verdict is from another."""
        if suite.path not in self._costs:
            self._costs[suite.path] = self.shared.read(f"cost-{_key(suite)}") or ""
        return self._costs[suite.path]

    @contextmanager
    def _counted(self, suite: Suite) -> Iterator[None]:
        """Count the time of the block as that of judging a suite."""
        from rl_eval.cost import cost_text

        started = time.perf_counter()
        yield
        text = self._costs[suite.path] = cost_text(self._rate.cost(time.perf_counter() - started))
        self.shared.write(f"cost-{_key(suite)}", text)

    def _read_shared(self, name: str) -> SuiteVerdict | None:
        from rl_eval.gates import SuiteVerdict

        values = self.shared.read(name)
        return None if values is None else SuiteVerdict.from_json(values)

    def _evaluate(self, suite: Suite, name: str) -> SuiteVerdict:
        from rl_eval.gates import NoRunError, judged_lines, require_needs, suite_error

        try:
            require_needs(suite)
            selection = self._selections.get(suite.path) or self._select(suite)
            verdict = replace(
                self._cached_verdict(suite, selection),
                passed_over=selection.passed_over,
                judged=tuple(judged_lines(suite, selection)),
            )
        except NoRunError as error:
            verdict = replace(
                suite_error(suite, str(error)), train_command=error.command, passed_over=error.passed_over
            )
        except InputError as error:
            verdict = suite_error(suite, str(error))
        except pytest.exit.Exception:  # a signal
            raise
        except (Exception, SystemExit) as error:  # remembered, as any other reason
            verdict = suite_error(suite, f"{suite.label} cannot be judged: {failure(error)}")
        self.shared.write(name, verdict.to_json())
        return verdict

    def _uses_cache(self) -> bool:
        return self._config.getoption("rl_eval_gate_cache") == "on" and not has_local_plugin(self._config)

    def _cached_verdict(self, suite: Suite, selection: Selection) -> SuiteVerdict:
        """The verdict of an earlier session where nothing has changed since, else a new one; the ledger records both.

        The cache holds it without the ledger's note, which changes from session to session.
        """
        from rl_eval.gates import evaluate_suite, ledger, verdict_cache
        from rl_eval.production.audit.runs import append_verdict

        folder = self.path(verdict_cache.FOLDER)
        trust = self._config.getoption("rl_eval_trust")
        key = verdict_key(suite, selection, trust) if self._uses_cache() else None
        verdict = verdict_cache.read_verdict(folder, key, suite.items) if key is not None else None
        if verdict is None:
            with refused_exits(), self._counted(suite):
                verdict = evaluate_suite(suite, selection, trust=trust, workers=self._start_workers())
            if key is not None and verdict.decision != "ERROR":  # the cause of an error may have disappeared
                verdict_cache.write(folder, key, verdict.to_json())
        recorded_in = self.path(self._config.getoption("rl_eval_ledger") or ledger.DEFAULT)
        verdict = ledger.record_verdict(recorded_in, selection, verdict)
        append_verdict("pytest", verdict)
        return verdict

    def _start_workers(self) -> Launcher | None:
        """Who plays episodes, started on first use; None: this process."""
        if self._launcher is None and self._workers is not None:
            from rl_eval.launchers import launcher_plugin

            plugin = launcher_plugin(self._workers.name)
            assert plugin.start is not None
            self._launcher = plugin.start(self._workers)
        return self._launcher

    def stop_workers(self) -> None:
        """At the end of the session."""
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None

    def _select(self, suite: Suite) -> Selection:
        from rl_eval.gates import named_runs, newest_group
        from rl_eval.policy import canonical, names_policy

        outputs = self.path(self._config.getoption("rl_eval_outputs") or "outputs")
        if run_names := self._config.getoption("rl_eval_run"):
            chosen = {name: run_by_word(name, suite, outputs) for name in run_names if name in WORDS}
            paths = [
                chosen[name][0] if name in chosen else canonical(name) if names_policy(name) else self.path(name)
                for name in run_names
            ]
            return replace(named_runs(suite, paths), reasons=tuple(reason for _, reason in chosen.values()))
        if not self._config.getoption("rl_eval_train_missing"):
            return newest_group(suite, outputs)
        with self.shared.lock("train"):  # two suites may want the same runs
            try:
                selection = newest_group(suite, outputs)
            except InputError:
                selection = None
            if selection is not None and not selection.too_few:
                return selection
            _train_missing.train(self._config, suite)
            return newest_group(suite, outputs)

    def path(self, path: str | Path) -> Path:
        """A path that was given on the command line, from where pytest was started."""
        return short_path(self._config.invocation_params.dir / path)


def _key(suite: Suite) -> str:
    """Names a suite in what workers share."""
    return hashlib.sha256(str(suite.path).encode()).hexdigest()[:16]


SESSION = pytest.StashKey[GateSession]()
