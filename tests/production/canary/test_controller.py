"""The driver of a roll-out: steps, evidence, time and commands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rl_eval.errors import InputError
from rl_eval.production.canary_config import StepConfig
from rl_eval.production.registry import Lineage, RegistryError
from rl_eval.production.states import RefusedEventError
from tests.production.canary.world import CONFIG, DAY, events


def test_a_better_challenger_takes_over_step_by_step_and_every_change_is_logged(world):
    seen = world.minutes(300, [world.controller()])
    assert seen == [("canary", 0.1), ("canary", 0.5), ("full", 1.0), ("idle", 0.0)]
    assert world.registry.aliases() == {"champion": 2}
    assert events(world) == ["begin", "advance", "fill", "complete", "alias_change"]
    assert "version 2 promoted" in world.row.outcome
    assert "the step lasted step.min with" in world.row.outcome
    assert world.document("rolled_back").body == {}


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
    ((number, reason),) = world.document("rolled_back").body.items()
    assert (number, "the challenger is worse" in reason) == ("2", True)


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


def same_policy(world):
    """Two versions of one policy as champion and challenger."""
    source = world.registry.folder.parent / "policy"
    for _ in range(2):
        world.registry.register(source, Lineage("data", policy="feed"))
    world.registry.move({"champion": 4, "challenger": 5})


def test_the_policy_of_the_champion_is_no_challenger(world):
    same_policy(world)
    decision = world.controller().run_pass()
    assert (decision.verdict, decision.figure) == ("hold", "undone")
    assert "version 5 is no longer the challenger: versions 5 and 4 are the same policy" in decision.sentence
    assert world.registry.aliases() == {"champion": 4}  # so that the next training can begin
    assert (world.row.state, events(world)) == ("idle", ["challenger_refused"])
    assert world.controller().run_pass().sentence == "no roll-out runs"


@pytest.mark.parametrize("state", ["canary", "paused"])
def test_a_roll_out_of_the_same_policy_that_runs_ends_as_aborted(world, state):
    same_policy(world)
    previous = "canary" if state == "paused" else None
    row = {"state": state, "previous": previous, "share": 0.1, "challenger": 5, "champion": 4}
    assert world.swap_document(0, row)
    assert world.controller().run_pass().verdict == "roll_back"
    assert (world.row.state, world.registry.aliases()) == ("idle", {"champion": 4})
    assert "versions 5 and 4 are the same policy" in world.row.outcome
    assert events(world) == ["abort", "alias_change"]


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
    assert (
        "version 2 is no longer the challenger; the store is away" in controller.command("abort", "fire", "me").outcome
    )
    assert world.registry.aliases() == {"champion": 1}
    world.away = False
    assert world.minutes(1, [controller]) == [("idle", 0.0)]
