"""Files of anyone: what is no regular file is refused, and YAML is bounded."""

import os
import time
import tracemalloc

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.untrusted_files import MAX_DEPTH, duplicate_key, load_yaml, only_regular, read_bounded
from tests.run.values import JSON

BOMB = "a0: &a0 [1, 1, 1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "file").write_text("text")
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "file", opener=only_regular) as file:
        assert file.read() == "text"
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            open(path, opener=only_regular).close()


@settings(max_examples=50)
@given(values=st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_what_yaml_writes_is_read_back(values):
    text = yaml.safe_dump(values, allow_unicode=True)
    assert load_yaml(text)[1] == yaml.safe_load(text)


MERGED = "a: &a {k: 1, n: [x]}\nb: &b {k: 2, m: 3}\n"


@pytest.mark.parametrize(
    ("text", "values", "duplicate"),
    [
        ("c: {<<: *a, k: 5}", {"k": 5, "n": ["x"]}, None),
        ("c: {k: 5, <<: *a}", {"k": 5, "n": ["x"]}, None),
        ("c: {<<: [*a, *b]}", {"k": 1, "n": ["x"], "m": 3}, None),  # the first has precedence
        ("c: &c {<<: *a, k: 5}\nd: {<<: *c, k: 6}", {"k": 5, "n": ["x"]}, None),
        ("c: {<<: *a, k: 5, k: 6}", {"k": 6, "n": ["x"]}, ("k", 3)),
        ("c: {<<: {k: 1, k: 2}}", {"k": 2}, None),
    ],
)
def test_a_key_that_overrides_a_merged_one_is_no_duplicate(text, values, duplicate):
    node, read = load_yaml(MERGED + text)
    assert (read["c"], duplicate_key(node)) == (values, duplicate)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: " + "[" * 3000 + "]" * 3000, "nested deeper"),
        ("a: " + "{b: " * 3000, "nested deeper"),
        ("- " * 3000 + "x", "nested deeper"),
        (BOMB, "expands to more than"),
        (MERGES, "expands to more than"),
        ("a: &a [" + "x" * 100_000 + "]\nb: [" + "*a, " * 1000 + "]", "expands to more than"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {b: {c: *a}}", "contains itself"),
        ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100)), "nested deeper"),
        ("[1]: 2", "cannot be a key"),
        ("? {a: 1}\n: 2", "cannot be a key"),
        ("a: 2024-01-01", "timestamp is not supported"),
        ("a: !!set {b}", "set is not supported"),
        ("a: !!python/object/apply:os.getcwd []", "is not supported"),
        ("a: " + "9" * 200, "more than 512 bits"),
        ("a: " + "9" * 5000, "cannot be read"),
        ("a: !!int x", "cannot be read"),
        ("a: !!bool x", "cannot be read"),
        ("a: *b", "undefined alias"),
        ("a: \0", "not allowed"),
        ("--- 1\n--- 2", "single document"),
    ],
)
def test_yaml_beyond_the_limits_is_an_error(text, problem):
    start = time.process_time()
    with pytest.raises(yaml.YAMLError, match=problem):
        load_yaml(text)
    assert time.process_time() - start < 5


def test_yaml_within_the_limits_is_read():
    depth = MAX_DEPTH - 2
    assert load_yaml("a: " + "[" * depth + "1" + "]" * depth)[1] is not None
    assert load_yaml("a: &a {b: 1}\nc: {<<: *a, d: *a}")[1] == {"a": {"b": 1}, "c": {"b": 1, "d": {"b": 1}}}
    assert load_yaml("") == (None, None)


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_a_file_is_read_whole_up_to_its_bound_and_not_beyond(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert read_bounded(path, size) == b"x" * size
    path.write_bytes(b"x" * (size + 1))
    with pytest.raises(OverflowError):
        read_bounded(path, size)


def test_a_small_file_takes_little_memory_whatever_its_bound(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    tracemalloc.start()
    read_bounded(tmp_path / "file", 64 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_what_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(tmp_path / "pipe", 10)
