"""The identity of a policy: a hash of the bytes that act."""

import shutil

from rl_eval import policy
from tests.policy.run_policies import write_run


def test_the_identity_is_that_of_the_bytes_and_not_of_the_place(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (policy.identity(f"onnx:{tmp_path / name}") for name in "abc")
    assert a == b != c
    with_statistics = policy.identity(f"sb3:ppo:{tmp_path / 'a'}+{tmp_path / 'c'}")
    others = [policy.identity(f"sb3:{rest}") for rest in (f"ppo:{tmp_path / 'a'}", f"a2c:{tmp_path / 'a'}")]
    built_in = [policy.identity(spec) for spec in ("random", "constant:1", "untrained:1", "baseline:x")]
    identities = [a, c, with_statistics, *others, *built_in]
    assert len(set(identities)) == len(identities)
    assert None not in identities
    assert policy.identity(f"sb3:PPO:{tmp_path / 'b'}") == others[0]


def test_code_servers_and_missing_files_have_no_identity(tmp_path):
    for spec in ("python:a:b", "http://127.0.0.1:1/", f"onnx:{tmp_path / 'gone'}", str(tmp_path), "outputs/run"):
        assert policy.identity(spec) is None


def test_the_identity_of_a_run_is_that_of_its_judged_snapshot(tmp_path):
    write_run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    identity = policy.identity(str(tmp_path / "a"))
    (tmp_path / "b" / "config.yaml").write_text("env: {name: cartpole}\nseed: 7\n")
    assert identity is not None
    assert policy.identity(str(tmp_path / "b")) == identity
    for name in ("policy.safetensors", "policy.json"):
        with open(tmp_path / "b" / "snapshots" / "step_10" / name, "ab") as file:
            file.write(b" ")
        changed = policy.identity(str(tmp_path / "b"))
        assert changed not in (None, identity)
        identity = changed
