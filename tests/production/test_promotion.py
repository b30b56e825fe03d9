"""A promotion that nobody notices: all units have had the new champion before, and none goes back in between."""

import itertools

import pytest

from rl_eval.production.audit import AuditLog
from rl_eval.production.canary.controller import Controller
from rl_eval.production.canary.row import Row
from tests.production.served import Loop

FULL = Row("full", share=1.0, challenger=2, champion=1).body()


@pytest.fixture
def loop(runs, tmp_path):
    opened = Loop(tmp_path, runs, challenger=2, rollout=FULL)
    yield opened
    opened.close()


class Killed(BaseException):
    """A process ends."""


def controller(loop, aliases_move):
    class Versions:
        label = "registry"

        def aliases(self):
            return loop.registry.aliases()

        def load(self, number, target):
            return loop.registry.load(number, target)

        def move(self, changes, expected=None):
            if not aliases_move:
                raise Killed
            aliases = {**self.aliases(), **changes}
            loop.registry.write(loop.runs, **{name: number for name, number in aliases.items() if number})

    audit = AuditLog(loop.config.path / "audit.jsonl")
    return Controller(loop.store, Versions(), audit, loop.config.rollout)


def test_units_stay_with_the_new_champion_where_whoever_promotes_is_killed_in_between(loop):
    assert loop.decide(unit="a")["policy_version"] == "2"
    with pytest.raises(Killed):
        controller(loop, aliases_move=False).command("promote", "good", "ada")
    assert loop.store.document().body["state"] == "promoting"
    assert loop.registry.aliases() == {"champion": 1, "challenger": 2}
    loop.follower.look()
    assert loop.decide(unit="a")["policy_version"] == "2"
    controller(loop, aliases_move=True).run_pass()
    loop.follower.look()
    assert loop.registry.aliases() == {"champion": 2}
    assert loop.decide(unit="a")["policy_version"] == "2"


def test_units_stay_with_the_new_champion_where_a_server_looks_while_it_is_promoted(loop, monkeypatch):
    read, looks = loop.registry.aliases, itertools.count()

    def aliases():
        """What was true when it was asked, and is not any more when it answers."""
        before = read()
        if next(looks) == 0:
            monkeypatch.undo()
            controller(loop, aliases_move=True).command("promote", "good", "ada")
        return before

    monkeypatch.setattr(loop.registry, "aliases", aliases)
    loop.follower.look()
    assert loop.store.document().body["state"] == "idle"
    assert loop.decide(unit="a")["policy_version"] == "2"
