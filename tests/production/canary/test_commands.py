"""`rl-eval production pause|resume|abort|promote|pin`, with the embedded store and registry."""

import json

import pytest

from rl_eval.cli import main
from rl_eval.production.audit import verify
from rl_eval.production.canary.opening import audit_of, controller_of, registry_of
from rl_eval.production.config import load_config
from rl_eval.production.registry import Lineage
from rl_eval.production.store import Store


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "production.yaml"
    file.write_text("name: triage\nrollout: {margin: 0.02, step: {min: 24h}}\n")
    registry = registry_of(load_config(file))
    for version in (1, 2, 3):
        (tmp_path / "policy").write_text(f"policy {version}")
        registry.register(tmp_path / "policy", Lineage("data"))
    registry.move({"champion": 1, "challenger": 2})
    Store("sqlite:///store.sqlite", load_config(file).path).close()
    with controller_of(load_config(file)) as controller:
        controller.run_pass()
        assert controller.row().state == "canary"
    return file


def run(capsys, *arguments):
    status = main(["production", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, " ".join((captured.out + captured.err).split())


def test_commands_change_the_roll_out_and_say_where_it_is(config, capsys):
    assert run(capsys, "pause", config, "--reason", "a look") == (
        0,
        "the roll-out is paused; challenger is version 2, champion is version 1",
    )
    status, text = run(capsys, "pause", config, "--reason", "again")
    assert status == 2
    assert "`resume`, `abort`, `promote` and `pin` are possible now" in text
    assert run(capsys, "resume", config, "--reason", "looked")[0] == 0
    status, text = run(capsys, "promote", config, "--reason", "sure")
    assert (status, "champion is version 2" in text, "promoted: sure" in text) == (0, True, True)
    assert run(capsys, "abort", config, "--reason", "x")[0] == 2
    status, text = run(capsys, "pin", config, "3", "--reason", "incident")
    assert (status, text) == (0, "the roll-out is pinned; champion is version 3")
    assert run(capsys, "pin", config, "9", "--reason", "x")[0] == 2
    assert run(capsys, "resume", config, "--reason", "over") == (0, "the roll-out is idle; champion is version 3")
    assert run(capsys, "pause", config)[0] == 2
    assert run(capsys, "pause", config, "--reason", " ")[0] == 2
    assert verify(audit_of(load_config(config)).path).faults == ()


def test_abort_works_where_the_store_is_away(config, capsys):
    loaded = load_config(config)
    (loaded.path / "store.sqlite").write_bytes(b"no database" * 1000)
    status, text = run(capsys, "abort", config, "--reason", "fire")
    assert (status, "the store is away" in text) == (0, True)
    assert registry_of(loaded).aliases() == {"champion": 1}
    assert run(capsys, "pause", config, "--reason", "x")[0] == 2


def lose_store(folder):
    for file in folder.glob("store.sqlite*"):
        file.unlink()


def aborts(config):
    lines = audit_of(load_config(config)).path.read_text().splitlines()
    return [json.loads(line)["facts"] for line in lines if json.loads(line)["event"] == "abort"]


def test_abort_works_where_the_store_is_gone_and_no_command_makes_another(config, capsys):
    loaded = load_config(config)
    lose_store(loaded.path)
    for command in ("pause", "resume", "promote"):
        status, text = run(capsys, command, config, "--reason", "x")
        assert (status, "store.sqlite does not exist" in text) == (2, True), text
    status, text = run(capsys, "abort", config, "--reason", "fire")
    assert (status, "the store is away" in text) == (0, True), text
    assert registry_of(loaded).aliases() == {"champion": 1}
    assert [facts["challenger"] for facts in aborts(config)] == [2]
    assert not list(loaded.path.glob("store.sqlite*"))


def test_abort_removes_a_challenger_that_an_empty_store_knows_nothing_of(config, capsys):
    loaded = load_config(config)
    lose_store(loaded.path)
    Store("sqlite:///store.sqlite", loaded.path).close()
    status, text = run(capsys, "abort", config, "--reason", "fire")
    assert (status, "version 2 is no longer the challenger" in text) == (0, True), text
    assert registry_of(loaded).aliases() == {"champion": 1}
    assert [facts["reason"] for facts in aborts(config)] == ["fire"]
    assert run(capsys, "abort", config, "--reason", "again")[0] == 2  # now there is nothing to abort


def test_abort_removes_another_challenger_than_that_of_the_row(config, capsys):
    registry_of(load_config(config)).move({"challenger": 3})
    assert run(capsys, "abort", config, "--reason", "fire")[0] == 0
    assert registry_of(load_config(config)).aliases() == {"champion": 1}


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("rollout: {steps: [0.5, 0.1]}", "ascending"),
        ("rollout: {step: {min: 7d}}", "min must be below max"),
        ("rollout: {step: {max: 8d}}", "at most 7d"),
        ("rollout: {reward_window: 6d}", "shorter than step.max"),
        ("rollout: {low: 1.0}", "low must be below high"),
        ("rollout: {margin: 2.0}", "larger than any difference"),
        ("rollout: {missing: zero}", "low"),
        ("registry: {kind: git}", "folder"),
    ],
)
def test_configs_that_make_no_sense_are_one_sentence(tmp_path, capsys, section, sentence):
    file = tmp_path / "production.yaml"
    file.write_text(f"name: triage\n{section}\n")
    status, text = run(capsys, "check", file)
    assert status == 2
    assert sentence in text
