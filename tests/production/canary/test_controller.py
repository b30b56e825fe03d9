"""The driver of a roll-out: clocks that jump, several controllers, kills, and parts that are away."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.production.audit import AuditLog, verify
from rl_eval.production.canary.calls import read_calls, report_calls
from rl_eval.production.canary.controller import Controller
from rl_eval.production.canary.evidence import Calls
from rl_eval.production.canary.row import Row
from rl_eval.production.canary_config import RolloutConfig, StepConfig
from rl_eval.production.registry import FolderRegistry, Lineage, RegistryError
from rl_eval.production.states import RefusedEventError
from rl_eval.production.store import Document, UnavailableError

HOUR, DAY = 3_600.0, 86_400.0
START = 1_700_000_000.0
CONFIG = RolloutConfig(reward_window=60.0, step=StepConfig(min=HOUR, max=DAY, units=3_000))


@dataclass(frozen=True)
class Outcome:
    decision_id: str
    at: float
    unit: str | None
    version: str
    shadow: bool
    reward: float | None


@dataclass
class World:
    """A store in memory, the clocks, and servers that follow the row."""

    registry: FolderRegistry
    audit: AuditLog
    config: RolloutConfig = CONFIG
    rates: dict = field(default_factory=lambda: {"1": 0.8, "2": 0.9})
    failures: dict = field(default_factory=dict)
    steady: float = 0.0
    jump: float = 0.0  # of the wall clock
    away: bool = False
    documents: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)
    reward_after: float = 10.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    counts: dict = field(default_factory=dict)

    def controller(self, audit=None):
        return Controller(self, self.registry, audit or self.audit, self.config, lambda: self.steady, self.wall)

    def wall(self):
        return START + self.steady + self.jump

    def document(self, name="rollout"):
        if self.away:
            raise UnavailableError("the store cannot be used (away): it is tried again")
        number, text = self.documents.get(name, (0, "{}"))
        return Document(number, json.loads(text))

    def swap_document(self, number, body, name="rollout"):
        if self.document(name).number != number:
            return False
        self.documents[name] = (number + 1, json.dumps(body))
        return True

    def outcomes(self, *, after=None, before=None, limit=10_000):
        if self.away:
            raise UnavailableError("the store cannot be used (away): it is tried again")
        low = np.searchsorted([row.at for row in self.rows], after[0], "left") if after else 0
        found = []
        for row in self.rows[low:]:
            if (after is None or (row.at, row.decision_id) > after) and (before is None or row.at < before):
                came = row.reward is not None and self.steady >= float(row.decision_id[:12]) + self.reward_after
                found.append(row if came else replace(row, reward=None))
            if len(found) == limit:
                break
        return found

    @property
    def row(self):
        return Row.parse(self.document().body)

    def traffic(self, units):
        """So many decisions, over the last minute, by what servers see."""
        row, aliases = self.row, self.registry.aliases()
        for index in range(units):
            mine = self.rng.random() < row.share and row.challenger is not None
            version = str(row.challenger if mine else aliases["champion"])
            reward = float(self.rng.random() < self.rates[version])
            made = self.steady - 60.0 * (1 - index / units)
            name = f"{made:012.3f}-{index}"
            self.rows.append(Outcome(name, START + made + self.jump, f"u{name}", version, False, reward))
            if row.shadow:
                self.rows.append(
                    Outcome(f"{name}s", START + made + self.jump, f"u{name}", str(row.challenger), True, None)
                )
            for name in [version, *([str(row.challenger)] if row.shadow else [])]:
                count = self.counts.setdefault(name, [0, 0, 0])
                count[0] += 1
                count[1] += self.rng.random() < self.failures.get(name, 0.0)
        self.rows.sort(key=lambda outcome: (outcome.at, outcome.decision_id))
        report_calls(self, "server", {version: Calls(*count) for version, count in self.counts.items()})

    def minutes(self, count, controllers, units=60):
        """So many minutes with traffic and passes; the states that were seen."""
        states = []
        for _ in range(count):
            self.steady += 60.0
            if units:
                self.traffic(units)
            for controller in controllers:
                controller.run_pass()
            states.append((self.row.state, self.row.share))
        return [state for state, _ in itertools.groupby(states)]


@pytest.fixture
def world(tmp_path):
    registry = FolderRegistry(tmp_path / "registry")
    for version in range(1, 4):
        (tmp_path / "policy").write_text(f"policy {version}")
        registry.register(tmp_path / "policy", Lineage("data"))
    registry.move({"champion": 1, "challenger": 2})
    return World(registry, AuditLog(tmp_path / "audit.jsonl"))


def events(world):
    assert verify(world.audit.path).faults == ()
    return [json.loads(line)["event"] for line in world.audit.path.read_text().splitlines()]


def test_a_better_challenger_takes_over_step_by_step_and_every_change_is_logged(world):
    seen = world.minutes(300, [world.controller()])
    assert seen == [("canary", 0.1), ("canary", 0.5), ("full", 1.0), ("idle", 0.0)]
    assert world.registry.aliases() == {"champion": 2}
    assert events(world) == ["begin", "advance", "fill", "complete", "alias_change"]
    assert "version 2 promoted" in world.row.outcome


def test_a_step_lasts_its_minimum(world):
    controller = world.controller()
    assert world.minutes(60, [controller]) == [("canary", 0.1)]
    decision = controller.run_pass()
    assert (decision.verdict, decision.figure) in {("hold", "time"), ("hold", "reward")}


def test_a_worse_challenger_is_rolled_back_in_its_first_step_by_one_alias_change(world):
    world.rates["2"] = 0.4
    assert world.minutes(100, [world.controller()]) == [("canary", 0.1), ("idle", 0.0)]
    assert world.registry.aliases() == {"champion": 1}
    assert events(world) == ["begin", "roll_back", "alias_change"]
    assert "the challenger is worse" in world.row.outcome


def test_errors_roll_back_at_once_without_any_reward(world):
    world.failures["2"] = 0.5
    world.reward_after = 1e9
    seen = world.minutes(30, [world.controller()])
    assert seen == [("canary", 0.1), ("idle", 0.0)]
    assert "errors" in world.row.outcome


def test_a_shadow_comes_first_where_asked(world):
    world.config = replace_config(shadow=True)
    controller = world.controller()
    assert world.minutes(70, [controller]) == [("shadow", 0.0), ("canary", 0.1)]
    world.failures["2"] = 0.5
    assert world.minutes(30, [controller])[-1] == ("idle", 0.0)
    assert world.registry.aliases() == {"champion": 1}


def replace_config(**changes):
    return CONFIG.model_copy(update=changes)


def test_no_traffic_is_hold_for_ever(world):
    controller = world.controller()
    world.minutes(1, [controller], units=0)
    for _ in range(2_000):
        world.steady += 250.0
        decision = controller.run_pass()
        assert (decision.verdict, decision.figure) == ("hold", "traffic")
    assert world.row.state == "canary"
    assert world.row.elapsed > CONFIG.step.max


def test_what_is_undecided_is_rolled_back_after_step_max(world):
    world.rates["2"] = 0.8
    world.config = replace_config(margin=0.0)
    controller = world.controller()
    world.minutes(3, [controller], units=20)
    for _ in range(350):
        world.steady += 250.0
        controller.run_pass()
    assert world.row.state == "idle"
    assert "step.max has passed without a decision" in world.row.outcome


@pytest.mark.verify
@pytest.mark.parametrize("jump", [DAY, -DAY])
@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_that_jumps_by_a_day_changes_nothing(world, jump, restart):
    """Rewards come after 50 of 60 seconds: counted a moment early, the challenger would look worse."""
    world.reward_after = 50.0
    controller = world.controller()
    before = world.minutes(20, [controller])
    elapsed = world.row.elapsed
    world.jump = jump
    if restart:
        controller = world.controller()
    decision = controller.run_pass()
    assert decision.verdict == "hold"
    assert world.minutes(20, [controller]) == before == [("canary", 0.1)]
    assert world.row.elapsed <= elapsed + 20 * 60
    world.jump = 0.0
    assert world.minutes(10, [controller]) == before
    assert events(world) == ["begin"]
    rewards = controller.watcher.watched.rewards
    assert rewards.missing == [0, 0]


def test_a_decision_counts_once_its_reward_had_time_to_come(world):
    world.reward_after = 59.0
    controller = world.controller()
    world.minutes(40, [controller])
    rewards = controller.watcher.watched.rewards
    assert rewards.units > 1_000
    assert rewards.missing == [0, 0]
    world.reward_after = 400.0
    world.minutes(10, [controller])
    assert sum(rewards.missing) > 0


def test_a_unit_counts_once_however_often_it_comes_back(world):
    controller = world.controller()
    world.minutes(10, [controller])
    counted = controller.watcher.watched.rewards.units
    world.rows = [replace(row, unit=f"u{index % 5}") for index, row in enumerate(world.rows)]
    again = world.controller()
    again.run_pass()
    world.steady += 120
    again.run_pass()
    assert counted > 100
    assert again.watcher.watched.rewards.units == 5


def test_one_busy_minute_does_not_decide_for_the_whole_step(world):
    world.config = replace_config(step=StepConfig(min=96 * 60.0, max=DAY, units=960))
    controller = world.controller()
    world.minutes(2, [controller], units=5_000)
    world.minutes(2, [controller], units=0)
    assert controller.watcher.watched.rewards.units <= 3 * 10


@pytest.mark.verify
def test_a_restarted_controller_counts_again_and_goes_on(world):
    seen = []
    for _ in range(40):
        seen += world.minutes(10, [world.controller()])
    states = [state for state, _ in itertools.groupby(seen)]
    assert states == [("canary", 0.1), ("canary", 0.5), ("full", 1.0), ("idle", 0.0)]


@pytest.mark.verify
def test_several_controllers_promote_once_and_count_time_once(world):
    controllers = [world.controller() for _ in range(3)]
    seen = world.minutes(300, controllers)
    assert seen == [("canary", 0.1), ("canary", 0.5), ("full", 1.0), ("idle", 0.0)]
    assert events(world).count("alias_change") == 1
    assert world.registry.aliases() == {"champion": 2}


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.verify
@pytest.mark.parametrize("rate", [0.4, 0.95])
def test_a_kill_at_any_write_leaves_one_whole_policy_and_the_next_controller_completes(world, rate):
    world.rates["2"] = rate
    writes = [0, -1]

    def counted(function):
        def wrapper(*arguments, **keywords):
            writes[0] += 1
            if writes[0] == writes[1]:
                raise Killed
            return function(*arguments, **keywords)

        return wrapper

    world.swap_document, plain = counted(world.swap_document), world.registry.move
    world.registry.move = counted(plain)
    world.audit.append = counted(world.audit.append)
    for minute in range(250):
        controller = world.controller() if minute % 30 == 0 else controller  # noqa: F821
        writes[1] = writes[0] + 1 + minute % 7 if minute % 5 == 0 else -1
        try:
            world.minutes(1, [controller])
        except Killed:
            controller = world.controller()
        aliases = world.registry.aliases()
        assert aliases["champion"] in (1, 2)
        assert world.row.share == 0 or world.row.challenger == 2
    writes[1] = -1
    world.minutes(200, [world.controller()])
    assert world.row.state == "idle"
    assert world.registry.aliases() == {"champion": 2 if rate > 0.9 else 1}
    assert verify(world.audit.path).faults == ()


def test_where_the_store_or_the_registry_is_away_the_roll_out_holds(world, tmp_path):
    controller = world.controller()
    before = world.minutes(20, [controller])
    world.away = True
    decision = controller.run_pass()
    assert (decision.verdict, decision.figure) == ("hold", "availability")
    world.away = False
    folder = tmp_path / "registry"
    folder.rename(tmp_path / "gone")
    decision = controller.run_pass()
    assert (decision.verdict, decision.figure) == ("hold", "availability")
    assert "goes on serving" in decision.sentence
    (tmp_path / "gone").rename(folder)
    assert world.minutes(5, [controller]) == before


@pytest.mark.verify
def test_without_its_log_nothing_is_promoted_but_what_fails_is_rolled_back(world, tmp_path):
    controller = world.controller()
    world.minutes(20, [controller])
    whole = world.audit.path.read_bytes()
    world.audit.path.write_bytes(b"damaged\n")
    assert world.minutes(120, [controller]) == [("canary", 0.1)]
    world.rates["2"] = 0.0
    world.failures["2"] = 0.9
    assert world.minutes(60, [controller])[-1] == ("idle", 0.0)
    assert world.registry.aliases() == {"champion": 1}
    world.audit.path.write_bytes(whole)
    controller.run_pass()
    assert events(world) == ["begin", "roll_back", "alias_change"]


def test_a_changed_challenger_begins_nothing(world, tmp_path):
    record = tmp_path / "registry" / "versions" / "000002" / "version.json"
    record.write_text(record.read_text().replace("data", "date"))
    decision = world.controller().run_pass()
    assert (decision.verdict, decision.figure) == ("hold", "availability")
    assert world.document().number == 0


def test_aliases_that_somebody_else_moves_end_the_roll_out(world):
    controller = world.controller()
    world.minutes(5, [controller])
    world.registry.move({"challenger": 3})
    world.rates["3"] = 0.8
    assert world.minutes(3, [controller])[0] == ("idle", 0.0)
    assert (world.row.state, world.row.challenger) == ("canary", 3)
    world.registry.move({"challenger": None})
    assert world.minutes(2, [controller]) == [("idle", 0.0)]


def test_commands_are_logged_with_their_reasons(world):
    controller = world.controller()
    world.minutes(5, [controller])
    with pytest.raises(InputError, match="needs a reason"):
        controller.command("pause", "  ", "me")
    assert controller.command("pause", "a look", "me").state == "paused"
    with pytest.raises(RefusedEventError, match="the roll-out is paused, where pause is not possible"):
        controller.command("pause", "again", "me")
    elapsed = world.row.elapsed
    assert world.minutes(120, [controller]) == [("paused", 0.1)]
    assert world.row.elapsed == elapsed
    assert controller.command("resume", "looked", "me").state == "canary"
    controller.command("promote", "sure", "me")
    assert world.registry.aliases() == {"champion": 2}
    assert world.row.state == "idle"
    controller.command("pin", "incident", "me", version=3)
    world.registry.move({"challenger": 2, "champion": 1})
    controller.run_pass()
    assert world.registry.aliases() == {"champion": 3}
    assert world.row.state == "pinned"
    controller.command("resume", "over", "me")
    assert world.row.state == "idle"
    facts = [json.loads(line)["facts"].get("reason") for line in world.audit.path.read_text().splitlines()]
    assert [reason for reason in facts if reason in ("a look", "looked", "sure", "incident", "over")] == [
        "a look", "looked", "sure", "incident", "over",
    ]  # fmt: skip
    with pytest.raises(RegistryError, match="no version 9"):
        controller.command("pin", "x", "me", version=9)


def test_a_restarted_controller_remembers_errors_from_the_beginning(world):
    world.minutes(1, [world.controller()])
    world.failures["2"] = 0.5
    world.minutes(15, [])
    world.failures["2"] = 0.0
    for _ in range(2):  # one pass each, with what was counted before it began
        world.controller().run_pass()
    assert world.row.state == "idle"
    assert "errors" in world.row.outcome


def test_a_promotion_that_somebody_else_overtook_says_so(world):
    controller = world.controller()
    world.minutes(2, [controller])
    number, body = world.document().number, world.row.body()
    assert world.swap_document(number, {**body, "state": "promoting", "target": 2, "share": 0.0})
    world.registry.move({"champion": 3})
    controller.run_pass()
    assert world.registry.aliases()["champion"] == 3
    assert "version 2 not promoted, since somebody else moved an alias" in world.row.outcome


def test_a_damaged_row_is_hold(world):
    assert world.swap_document(0, {"state": "odd"})
    decision = world.controller().run_pass()
    assert (decision.verdict, decision.figure) == ("hold", "availability")


def test_what_is_paused_and_fails_is_rolled_back(world):
    controller = world.controller()
    world.minutes(5, [controller])
    controller.command("pause", "a look", "me")
    world.failures["2"] = 0.8
    assert world.minutes(30, [controller])[-1] == ("idle", 0.0)


def test_abort_works_without_the_store(world):
    controller = world.controller()
    world.minutes(5, [controller])
    world.away = True
    assert "alias is gone" in controller.command("abort", "fire", "me").outcome
    assert world.registry.aliases() == {"champion": 1}
    world.away = False
    assert world.minutes(1, [controller]) == [("idle", 0.0)]


def test_calls_of_many_servers_add_up_and_stay_bounded(world):
    for index in range(200):
        assert report_calls(world, f"s{index}", {"1": Calls(10, 1, 2), "2": Calls(index, 0, 0)})
    report_calls(world, "s199", {"1": Calls(20, 2, 4), "2": Calls(199, 0, 0)})
    calls = read_calls(world)
    assert calls["1"] == Calls(2_010, 201, 402)
    assert calls["2"].count == sum(range(200))
    assert len(world.documents["calls"][1]) < 10_000


def test_a_damaged_version_never_becomes_what_servers_follow(world):
    controller = world.controller()
    damaged = next(path for path in (world.registry.folder / "versions" / "000002").rglob("policy") if path.is_file())
    content = damaged.read_bytes()
    damaged.write_bytes(b"other")
    assert "was changed" in controller.run_pass().sentence  # no roll-out begins
    with pytest.raises(RegistryError, match="was changed"):
        controller.command("pin", "why not", "Ada", version=2)
    damaged.write_bytes(content)
    controller.run_pass()
    assert world.row.state == "canary"
    damaged.write_bytes(b"other")
    with pytest.raises(RegistryError, match="was changed"):
        controller.command("promote", "why not", "Ada")
    assert (world.row.state, world.registry.aliases()) == ("canary", {"champion": 1, "challenger": 2})
    controller.command("abort", "it is damaged", "Ada")
    assert world.registry.aliases() == {"champion": 1}
    assert events(world) == ["begin", "abort", "alias_change"]
