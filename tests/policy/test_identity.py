"""The identity of a policy: a hash of the bytes that act."""

import contextlib
import json
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval import policy
from rl_eval.errors import InputError
from rl_eval.gates.ledger import policy_keys
from rl_eval.policy._python_files import policy_files
from tests.policy.policies import CARTPOLE
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


def test_what_cannot_be_read_has_no_identity(tmp_path):
    for spec in ("python:a:b", "python:.a:b", "python::", f"onnx:{tmp_path / 'gone'}", str(tmp_path), "outputs/run"):
        assert policy.identity(spec) is None


def test_only_identities_of_all_that_acts_are_for_caches():
    assert all(map(policy.is_cacheable, ("random", "constant:1", "untrained", "baseline:x", "onnx:x", "a/run")))
    assert not any(map(policy.is_cacheable, ("sb3:x", "python:a:b", "http://127.0.0.1/", "https://x.org/")))


PIECES = st.lists(st.sampled_from(["./", "sub/../", "./sub/../", "/", "link/", "down/../sub/.././"]), max_size=4)


@settings(max_examples=30)
@given(
    pieces=PIECES, base=st.sampled_from(["absolute", "relative", "from below"]), tail=st.sampled_from(["", "/", "/."])
)
def test_spellings_of_a_path_are_one_policy(tmp_path_factory, pieces, base, tail):
    folder = tmp_path_factory.mktemp("spellings")
    (folder / "sub").mkdir()
    (folder / "link").symlink_to(folder, target_is_directory=True)
    (folder / "down").symlink_to(folder / "sub", target_is_directory=True)
    for name, content in (("a.zip", b"1"), ("b.zip", b"2"), ("s.pkl", b"3")):
        (folder / name).write_bytes(content)
    (folder / "latest.zip").symlink_to("a.zip")
    write_run(folder / "run")
    begin = {"absolute": f"{folder}/", "relative": "./", "from below": "sub/../"}[base] + "".join(pieces)
    same = {
        f"onnx:{folder}/a.zip": [f"onnx:{begin}a.zip", f"onnx:{begin}latest.zip"],
        f"sb3:ppo:{folder}/a.zip": [f"sb3:ppo:{begin}a.zip", f"sb3:PPO:{begin}a", f"sb3:Ppo:{begin}latest"],
        f"sb3:ppo:{folder}/a.zip+{folder}/s.pkl": [f"sb3:ppo:{begin}{name}+{folder}/s.pkl" for name in ("a.zip", "a")],
        f"{folder}/run": [f"{begin}run{tail}"],
    }  # fmt: skip
    with contextlib.chdir(folder):
        for spec, spellings in same.items():
            expected = policy.identity(spec), policy.canonical(spec)
            assert None not in expected
            assert {(policy.identity(spelling), policy.canonical(spelling)) for spelling in spellings} == {expected}
            assert policy.identity(expected[1]) == expected[0]
            assert policy_keys([spec, *spellings]) == policy_keys([spec])
        assert policy.canonical(f"sb3:PPO:{begin}a+{begin}s.pkl") == "sb3:ppo:a.zip+s.pkl"
        others = [f"onnx:{begin}b.zip", f"sb3:ppo:{begin}b", f"sb3:a2c:{begin}a", f"sb3:ppo:{begin}a+{begin}b.zip"]
        assert len(policy_keys([*same, *others])) == len(same) + len(others)


def test_spellings_of_a_name_are_one_policy():
    same = [
        ("untrained", "untrained:0", "untrained:000"),
        ("untrained:7", "untrained:07"),
        ("constant:0", "constant:-0", "constant:0.0"),
        ("constant:.5", "constant:0.50"),
        ("constant:low",),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/act",),
    ]
    identities = [{policy.identity(spec) for spec in specs} for specs in same]
    assert [len(each) for each in identities] == [1] * len(same)
    assert len(set.union(*identities)) == len(same)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A policy in a package, its sources and weights; nothing of it may be run."""
    files = {
        "theirs/__init__.py": "raise SystemExit('ran')\n",
        "theirs/policy.py": "from . import nets\nfrom their_tools import scale\nimport numpy\n"
        "POLICY_FILES = ['weights.npz']\ndef act(obs): ...\n",
        "theirs/nets.py": "import theirs.layers\nPOLICY_FILES = ['../embedding.npz']\n",
        "embedding.npz": "1",
        "theirs/layers.py": "",
        "theirs/unused.py": "",
        "theirs/weights.npz": "1",
        "their_tools.py": "def scale(): ...\n",
        "other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("edited", "is_another"),
    [
        *((name, True) for name in ("__init__.py", "policy.py", "nets.py", "layers.py", "weights.npz")),
        ("../their_tools.py", True),
        ("../embedding.npz", True),  # a module that the policy imports declares it
        ("unused.py", False),
        ("../other.py", False),
    ],
)
def test_an_edited_python_policy_is_another_one(package, edited, is_another):
    spec = "python:theirs.policy:act"
    before = policy.identity(spec)
    assert before is not None
    assert before == policy.identity(spec) != policy.identity("python:theirs.policy:other")
    with open(package / "theirs" / edited, "a") as file:
        file.write("\n# edited\n")
    assert (policy.identity(spec) != before) is is_another


def test_a_python_policy_is_the_same_in_another_folder(package, tmp_path_factory, monkeypatch):
    before = policy.identity("python:theirs.policy:act")
    moved = tmp_path_factory.mktemp("moved")
    shutil.copytree(package, moved, dirs_exist_ok=True)
    shutil.rmtree(package)
    monkeypatch.syspath_prepend(moved)
    assert policy.identity("python:theirs.policy:act") == before


def test_a_python_policy_behind_links_is_the_same_one(package, tmp_path_factory, monkeypatch):
    """As build tools make them: a folder of links, and links to single files."""
    before, links = policy.identity("python:theirs.policy:act"), tmp_path_factory.mktemp("links")
    for number, file in enumerate(sorted(package.rglob("*.*"))):
        link = links / file.relative_to(package)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(shutil.copy(file, tmp_path_factory.mktemp("store") / str(number)))
    folder = tmp_path_factory.mktemp("folder") / "linked"
    folder.symlink_to(package, target_is_directory=True)
    for entry in (links, folder):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(entry)
            assert policy.identity("python:theirs.policy:act") == before
    monkeypatch.syspath_prepend(links)
    (links / "theirs" / "layers.py").write_text("edited = 1")
    assert policy.identity("python:theirs.policy:act") not in (None, before)


@pytest.mark.parametrize(
    "installed",
    [
        ".venv/lib/python3/site-packages",
        "venv/lib/python3/site-packages",
        "venv/src",
        "env/python3",
        "usr/dist-packages",
    ],
)
def test_packages_installed_in_the_repository_are_not_part_of_a_python_policy(package, monkeypatch, installed):
    before = policy_files("theirs.policy")
    tools = package / installed / "tools"
    (tools / "inner" / "deep").mkdir(parents=True)
    (package / "venv").mkdir(exist_ok=True)
    (package / "venv" / "pyvenv.cfg").touch()
    monkeypatch.setattr(sys, "prefix", str(package / "env"))
    (tools / "__init__.py").write_text("import tools.inner.deep.file\nPOLICY_FILES = ['gone']\n")
    (tools / "inner" / "deep" / "file.py").write_text("import other\n")
    monkeypatch.syspath_prepend(package / installed)
    for name in ("nets.py", "__init__.py"):
        with open(package / "theirs" / name, "a") as file:
            file.write("\nimport tools.inner.deep.file\nfrom tools import inner\n")
    assert policy_files("theirs.policy") == before
    assert policy.identity("python:theirs.policy:act") is not None


def test_a_package_without_init_in_another_is_part_of_a_python_policy(package):
    (package / "theirs" / "inner" / "deep").mkdir(parents=True)
    (package / "theirs" / "inner" / "deep" / "file.py").write_text("import other\n")
    (package / "loose" / "inner" / "deep").mkdir(parents=True)
    (package / "loose" / "inner" / "deep" / "acting.py").write_text("from theirs.inner.deep import file\n")
    files = policy_files("loose.inner.deep.acting")
    assert set(files) == {
        "loose/inner/deep/acting.py", "theirs/__init__.py", "theirs/inner/deep/file.py", "other.py",
    }  # fmt: skip


def test_a_finder_that_fails_finds_nothing(package, monkeypatch):
    def fails(place):
        raise KeyError(place)

    before = policy_files("theirs.policy")
    with open(package / "theirs" / "nets.py", "a") as file:
        file.write("\nimport nowhere_at_all.inner\n")
    monkeypatch.setattr(sys, "path", [*sys.path, "zip://their.place"])
    monkeypatch.setattr(sys, "path_hooks", [fails])
    assert policy_files("theirs.policy") == before


def test_a_python_policy_without_its_declared_files_or_with_errors(package):
    (package / "theirs" / "nets.py").write_text("this is no Python")
    assert policy.identity("python:theirs.policy:act") is not None
    (package / "theirs" / "weights.npz").unlink()
    assert policy.identity("python:theirs.policy:act") is None


def test_files_that_an_imported_module_declares_must_exist(package):
    (package / "embedding.npz").unlink()
    assert policy.identity("python:theirs.policy:act") is None
    with pytest.raises(InputError, match=r"nets\.py declares '\.\./embedding\.npz' in POLICY_FILES"):
        policy.load("python:theirs.policy:act", CARTPOLE, None, trust=True)


DECLARED = [
    ("POLICY_FILES: list[str] = ['weights.npz']", True),
    ("POLICY_FILES = ('weights.npz',)\nfirst = POLICY_FILES[0]", True),
    ("POLICY_FILES = []", True),
    ("POLICY_FILES = 'weights.npz'", False),
    ("POLICY_FILES: list[str]", False),
    ("POLICY_FILES = [1]", False),
    ("POLICY_FILES = ['weights' + '.npz' for _ in 'a']", False),
    ("POLICY_FILES = other = ['weights.npz']", False),
    ("POLICY_FILES, other = ['weights.npz'], 1", False),
    ("POLICY_FILES = ['weights.npz']\nPOLICY_FILES += ['more.npz']", False),
    ("POLICY_FILES = []\nPOLICY_FILES.append('weights.npz')", False),
    ("POLICY_FILES = ['x.npz']\nPOLICY_FILES[0] = 'weights.npz'", False),
    ("if True:\n    POLICY_FILES = ['weights.npz']", False),
    ("from theirs.nets import files as POLICY_FILES", False),
    ("POLICY_FILES = ['gone.npz']", False),
    ("POLICY_FILES = ['.']", False),
]


@pytest.mark.parametrize(("declaration", "is_read"), DECLARED)
def test_files_that_a_python_policy_declares_count_or_are_an_error(package, declaration, is_read):
    """Never are they left out in silence, or edited weights would be the same policy."""
    (package / "declaring.py").write_text(f"{declaration}\ndef act(obs): ...\n")
    (package / "weights.npz").write_text("1")
    before = policy.identity("python:declaring:act")
    (package / "weights.npz").write_text("2")
    assert (before is not None) is is_read
    if is_read:
        assert (policy.identity("python:declaring:act") == before) is ("weights" not in declaration)
    else:
        with pytest.raises(InputError, match="POLICY_FILES"):
            policy.load("python:declaring:act", CARTPOLE, None, trust=True)


def test_each_version_of_a_server_is_a_policy(monkeypatch):
    answer = {"actions": [1]}
    monkeypatch.setattr(policy.HttpPolicy, "_post", lambda self, body: json.dumps(answer).encode())
    spec, obs = "http://127.0.0.1:1/versions", np.zeros((1, 4), np.float32)
    identities = [policy.identity(spec)]
    for version in ("1", "2", None):
        answer["version"] = version
        acting = policy.load(spec, CARTPOLE, None)
        acting.act(obs, True)
        acting.act(obs, True)
        identities.append(policy.identity(spec))
    assert identities[0] == identities[3]
    assert len(set(identities)) == 3
    answer["version"] = "3"
    with pytest.raises(InputError, match="changed its version while it played"):
        acting.act(obs, True)
    for wrong in (3, "x" * 300, ["1"]):
        answer["version"] = wrong
        with pytest.raises(InputError, match="a version that is not text"):
            policy.load(spec, CARTPOLE, None).act(obs, True)


def test_the_identity_of_a_run_is_that_of_its_judged_snapshot_and_preprocessing(tmp_path):
    write_run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    identity = policy.identity(str(tmp_path / "a"))
    (tmp_path / "b" / "config.yaml").write_text("env: {name: cartpole}\nseed: 7\n")
    assert identity is not None
    assert policy.identity(str(tmp_path / "b")) == identity
    for name in ("policy.safetensors", "policy.json", "../../preprocessing.json", "../../preprocessing.json"):
        with open(tmp_path / "b" / "snapshots" / "step_10" / name, "ab") as file:
            file.write(b" ")
        changed = policy.identity(str(tmp_path / "b"))
        assert changed not in (None, identity)
        identity = changed
