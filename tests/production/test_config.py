"""The config of production: defaults, durations, and refusals as sentences."""

import contextlib
import logging

import pytest

from rl_eval.cli import main
from rl_eval.cli._production import log_warnings
from rl_eval.errors import InputError
from rl_eval.net import listening_socket
from rl_eval.production.config import load_config
from rl_eval.production.keyed_store import open_store
from rl_eval.production.parts import open_parts
from rl_eval.production.privacy import KEY_FILE


def write(folder, text):
    path = folder / "production.yaml"
    path.write_text(text)
    return path


def test_a_name_is_enough(tmp_path):
    config = load_config(write(tmp_path, "name: triage\n"))
    assert config.path == tmp_path / "production"
    assert config.privacy.retention == 7 * 86_400


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86_400), ("2 d", 172_800)]
)
def test_durations(tmp_path, text, expected):
    config = load_config(write(tmp_path, f"name: a\nprivacy:\n  retention: {text}\nrollout: {{reward_window: 1s}}\n"))
    assert config.privacy.retention == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not a production config"),
        ("rl_eval: 1\nenv: threat\ncriteria: {a: {metric: success_rate, at_least: 0.5}}\n", "is a suite, which pytest"),
        ("seed: 1\nperiods: []\nproduction: {name: a}\n", "is a config of the demo"),
        ("name: a\nx: &x {b: 1}\nservices: {c: {<<: *x, b: 2}}\n", "is a file of Docker Compose"),
        ("agent: ppo\n", "is not a production config: name a production config"),
        ("name: a\nquue: 1\n", "quue: there is no such key: allowed are name"),
        ("name: a\ncollect:\n  stoer: x\n", "collect.stoer: there is no such key: did you mean 'store'?"),
        ("name: a\nprivacy:\n  retention: 8d\n", "privacy.retention: must be at most 7d, not 8d: nothing of"),
        ("name: a\nserve: {follow: 0}\n", "serve.follow: must be above 0s and at most 3650d, not 0s"),
        ("name: a\nserve: {follow: .nan}\n", "serve.follow: must be above 0s and at most 3650d, not nans"),
        ("name: a\nprivacy:\n  retention: soon\n", "a duration such as 90s"),
        ("name: a\nprivacy:\n  features:\n    x: {action: coarsen}\n", "step belongs to action: coarsen"),
        ("name: a\ncollect:\n  store: postgresql://me:secret@host/db\n", "must hold no password"),
        ("name: A B\n", "name: must be at most 64 lower-case letters"),
        ("name: a\nname: b\n", ":2: duplicate key 'name'"),
        ("name: a\n1: 2\n", "1 is not a key: allowed are name"),
        ('name: a\nfolder: "a\\0b"\n', "folder: must be the path of a file or folder, without control"),
        ('name: a\nfolder: "\\ud800"\n', "'\\ud800' holds half of a surrogate pair"),
        ('name: a\nserve: {machine: "x\\udfff"}\n', "holds half of a surrogate pair"),
        (f"name: a\nfolder: {'x' * 900}\n", "folder: must be the path of a file or folder: at most 1,000 bytes"),
        (f"name: a\nregistry: {{path: {'é' * 200}}}\n", "registry.path: must be the path"),
        (f"name: a\nproof: {{suites: [{'x' * 300}]}}\n", "proof.suites.0: must be the path"),
        (f"name: a\ncollect: {{store: 'sqlite:///{'x' * 300}'}}\n", "collect.store: must be the path"),
        ("name: a\ncollect: {store: 'postgresql://host:x/db'}\n", "collect.store: has a host or port"),
        ("name: a\ncollect: {queue: 'redis://h:1/zzz'}\n", "with a number as DB, not 'redis://h:1/zzz'"),
        ("name: a\ncollect: {queue: 'redis://h:x'}\n", "collect.queue: has a host or port"),
        ("name: a\ncollect: {queue: 'redis://'}\n", "collect.queue: must be redis://HOST"),
        ("name: a\ncollect: {queue: 'kafka://'}\n", "collect.queue: must be kafka://HOST"),
        ("name: a\nserve: {host: a b}\n", "serve.host: must be a name or an address"),
        ("name: a\nserve: {host: ''}\n", "serve.host: must be a name or an address"),
        ('name: a\nserve: {host: "a\\tb"}\n', "serve.host: must be a name or an address"),
        ("name: a\nquality: {features: [x, y, x]}\n", "quality: features names 'x' twice"),
        ("name: a\nprivacy: {features: {age: {action: drop}}}\n", "'age' must be the number of a feature"),
        ("name: a\nprivacy: {features: {'65536': {action: drop}}}\n", "'65536' must be the number of a feature"),
        (
            "name: a\nquality: {features: [age]}\nprivacy: {features: {aeg: {action: drop}}}\n",
            "privacy.features: 'aeg' is not one of quality.features: did you mean 'age'?",
        ),
        ("name: a\ncollect:\n  store: mysql://host/db\n", "collect.store: must be sqlite:///FILE or postgresql:"),
        ("name: a\ncollect:\n  queue: amqp://host\n", "collect.queue: must be store, redis://"),
        ("name: a\nquality:\n  reward: [1, 0]\n", "quality: reward must be the lowest and the highest"),
        ("name: a\nquality: {reward: [-2, 0]}\nrollout: {low: 0, high: 1}\n", "do not contain quality.reward, -2 to 0"),
        (
            "name: a\nquality: {reward: [-2, 0]}\nrollout: {high: -1}\n",
            "rollout.low and rollout.high, -2 and -1, do not",
        ),
        ("name: a\nprivacy:\n  retention: 30m\n", "rollout.reward_window must be shorter than privacy.retention"),
        ("name: [\n", "not valid YAML"),
        ("name: a\nserve:\n  port: '80'\n", "serve.port: must be a whole number, not '80'"),
    ],
)
def test_refusals(tmp_path, text, sentence):
    with pytest.raises(InputError) as refused:
        load_config(write(tmp_path, text))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("rollout", "bounds"),
    [("{}", (-2.0, 0.0)), ("{low: -3.0}", (-3.0, 0.0)), ("{low: -2, high: 1}", (-2.0, 1.0))],
)
def test_the_bounds_of_a_roll_out_are_those_of_rewards_unless_given(tmp_path, rollout, bounds):
    config = load_config(write(tmp_path, f"name: a\nquality: {{reward: [-2.0, 0.0]}}\nrollout: {rollout}\n"))
    assert (config.rollout.low, config.rollout.high) == bounds
    config = load_config(write(tmp_path, "name: a\nquality: {reward: [-2.0, 0.0]}\n"))
    assert (config.rollout.low, config.rollout.high) == (-2.0, 0.0)
    config = load_config(write(tmp_path, "name: a\n"))
    assert (config.rollout.low, config.rollout.high) == (0.0, 1.0)


def test_check_warns_where_there_is_no_suite(tmp_path, capsys):
    assert main(["production", "check", str(write(tmp_path, "name: a\n"))]) == 0
    assert "warning: proof.suites is empty" in capsys.readouterr().err
    suite = tmp_path / "suite.yaml"
    suite.write_text("rl_eval: 1\nenv: threat\ncriteria: {f1: {metric: f1, at_least: 0.8}}\n")
    assert main(["production", "check", str(write(tmp_path, "name: a\nproof: {suites: [suite.yaml]}\n"))]) == 0
    assert capsys.readouterr().err == ""


def test_policies_have_queues_of_their_own(tmp_path):
    for text in ("", "collect: {queue: 'redis://h:1'}\n", "collect: {name: ''}\n"):
        assert load_config(write(tmp_path, f"name: triage\n{text}")).collect.name == "triage"
    assert load_config(write(tmp_path, "name: triage\ncollect: {name: all}\n")).collect.name == "all"


@pytest.mark.parametrize(
    "command", [["serve"], ["collect"], ["run"], ["watch"], ["erase", "UNIT"], ["pause", "--reason", "x"]]
)
def test_a_store_is_of_one_policy(tmp_path, capsys, command):
    load = load_config(write(tmp_path, "name: triage\n"))
    open_store(load).close()
    open_store(load).close()
    path = write(tmp_path, "name: other\n")
    (tmp_path / "production" / KEY_FILE).write_text("k" * 64)
    assert main(["production", command[0], str(path), *command[1:]]) == 2
    error = capsys.readouterr().err
    assert "store.sqlite is the store of the policy triage, and this config is of other: name another" in error
    assert error.count("\n") == 1


def test_check_prints_what_is_configured(tmp_path, capsys):
    assert main(["production", "check", str(write(tmp_path, "name: triage\n"))]) == 0
    assert "sqlite:///store.sqlite" in capsys.readouterr().out
    assert main(["production", "check", str(tmp_path / "absent.yaml")]) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("proof: {suites: [absent.yaml]}", "proof.suites: "),
        ("loop: {reference: {name: absent}}", "loop.reference: "),
        ("loop: {reference: {name: threat, train_flows: -3}}", "loop.reference.train_flows=-3 is not valid: "),
        ("loop: {reference: {}}", "loop.reference.id: "),
        ("loop: {machine: absent}", "or leave loop.machine out, and no cost is shown"),
        ("serve: {machine: owned}", "serve.machine: 'owned' is not in the price list: "),
        ("registry: {key_file: nope.key}", "nope.key cannot be read"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_what_a_config_names_has_to_be_there(tmp_path, capsys, command, text, sentence):
    path = write(tmp_path, f"name: a\n{text}\n")
    assert main(["production", command, str(path)]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "production").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("privacy: {features: {'4': {action: drop}}}", "there is no feature '4': give numbers from 0 to 3"),
        ("quality: {features: [a, b, c]}", "names 3 features, and an observation has 4"),
        ("quality: {features: [a, b, c, d, e]}", "names 5 features, and an observation has 4"),
    ],
)
def test_check_compares_the_features_with_those_of_the_champion(tmp_path, capsys, runs, text, sentence):
    right = "privacy: {features: {'3': {action: drop}}}"
    file = write(tmp_path, f"name: a\n{text}\n")
    assert main(["production", "check", str(file)]) == 0  # no champion yet
    assert main(["production", "register", str(file), str(runs / "one")]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert main(["production", "register", str(write(tmp_path, f"name: a\n{right}\n")), str(runs / "one")]) == 0
    assert main(["production", "check", str(file)]) == 0
    capsys.readouterr()
    write(tmp_path, f"name: a\n{text}\n")
    assert main(["production", "check", str(file)]) == 2
    error = capsys.readouterr().err
    assert "version 1, the champion, does not fit this config: " in " ".join(error.split())
    assert sentence in " ".join(error.split())


def test_check_says_that_the_registry_is_damaged(tmp_path, capsys):
    file = write(tmp_path, "name: a\n")
    with open_parts(load_config(file)) as parts:
        (parts.registry.folder / "aliases.json").write_text("nothing")
    assert main(["production", "check", str(file)]) == 2
    assert "aliases.json cannot be read" in " ".join(capsys.readouterr().err.split())


def test_serving_on_a_busy_port_names_the_keys_of_the_config(tmp_path, capsys):
    with contextlib.closing(listening_socket("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        file = write(tmp_path, f"name: triage\nserve: {{port: {port}}}\n")
        assert main(["production", "serve", str(file)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"serve.host: 127.0.0.1 and serve.port: {port} of the config cannot be used" in said
    assert "--port" not in said


def test_what_is_served_is_logged_as_information(caplog):
    log_warnings()
    logging.getLogger("rl_eval.production.server.follower").info("serving version 1")
    assert [(record.levelname, record.message) for record in caplog.records] == [("INFO", "serving version 1")]
