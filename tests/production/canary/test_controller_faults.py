"""The driver of a roll-out: clocks that jump, several controllers, kills, and parts that are away."""

from __future__ import annotations

import itertools

import pytest

from rl_eval.production.audit import verify
from rl_eval.production.canary.calls import read_calls, report_calls
from rl_eval.production.canary.evidence import Calls
from rl_eval.production.registry import RegistryError
from tests.production.canary.world import DAY, events


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
    assert "servers keep the versions" in decision.sentence
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


def test_nothing_advances_while_the_queue_cannot_be_read_and_no_time_counts(world):
    """At the moment of the loss everything was there for the next step; rewards that wait in the queue are not lost."""
    world.rates = {"1": 0.5, "2": 1.0}
    controller = world.controller()
    assert world.minutes(58, [controller]) == [("canary", 0.1)]
    elapsed, units = world.row.elapsed, controller.watcher.watched.rewards.units
    world.queue_away, world.reward_after = True, 70 * 60.0  # the rewards of the last minutes come later
    assert world.minutes(60, [controller]) == [("canary", 0.1)]
    decision = controller.run_pass()
    assert (decision.verdict, decision.figure) == ("hold", "availability")
    assert "while the queue cannot be read: the queue is away" in decision.sentence
    assert (world.row.elapsed, controller.watcher.watched.rewards.units) == (elapsed, units)
    assert events(world) == ["begin"]
    world.queue_away, world.reward_after = False, 10.0
    assert world.minutes(10, [controller]) == [("canary", 0.1), ("canary", 0.5)]
    assert controller.watcher.watched.rewards.missing == [0, 0]


def test_what_was_in_the_store_before_the_queue_went_waits_for_a_whole_reward_window_after_it(world):
    controller = world.controller()
    world.minutes(5, [controller])
    rewards = controller.watcher.watched.rewards
    world.queue_away, world.reward_after = True, 130.0  # what came just before has its rewards in the queue
    world.minutes(2, [controller], units=0)
    world.queue_away = False
    controller.run_pass()
    world.minutes(2, [controller], units=0)
    assert rewards.missing == [0, 0]
    assert rewards.units > 0


def test_errors_are_rolled_back_while_the_queue_cannot_be_read(world):
    controller = world.controller()
    world.minutes(5, [controller])
    world.queue_away, world.failures = True, {"2": 0.5}
    world.minutes(30, [controller])
    assert world.registry.aliases() == {"champion": 1}
    assert "errors" in world.row.outcome


def test_a_roll_out_does_not_begin_while_the_queue_cannot_be_read(world):
    world.queue_away = True
    controller = world.controller()
    assert controller.run_pass().figure == "availability"
    assert world.row.state == "idle"
    world.queue_away = False
    controller.run_pass()
    assert world.row.state == "canary"
