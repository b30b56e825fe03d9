"""The safetensors format compared with the safetensors library, and reading without a copy."""

import io
import json
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from rl_eval import run
from rl_eval.run import _safetensors

DTYPES = st.sampled_from([*map(np.dtype, _safetensors.DTYPES.values()), np.dtype(">f4"), np.dtype(">i8")])
ARRAYS = DTYPES.flatmap(lambda t: arrays_of.arrays(t, arrays_of.array_shapes(min_dims=0, min_side=0, max_dims=3)))
NAMES = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__")


@given(st.dictionaries(NAMES, ARRAYS, max_size=6))
def test_the_bytes_are_the_librarys(arrays):
    written = b"".join(_safetensors.file_parts(arrays))
    assert written == safetensors.numpy.save(arrays)
    read, expected = _safetensors.array_views(written), safetensors.numpy.load(written)
    assert read.keys() == expected.keys()
    for name, array in expected.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()
        assert read[name].flags.aligned


def test_metadata_of_another_program_is_passed_over():
    content = safetensors.numpy.save({"a": np.arange(3)}, metadata={"format": "np"})
    assert _safetensors.array_views(content).keys() == {"a"}


def test_a_type_that_the_format_does_not_know_is_refused_by_name():
    with pytest.raises(ValueError, match="cannot hold weight, an array of complex128"):
        list(_safetensors.file_parts({"weight": np.zeros(2, complex)}))


class Every:
    """A collection of all names."""

    def __contains__(self, name):
        return True


EVERY = Every()


def content(header, data=b"\0" * 16):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "I64", "BOOL", "X"]) | ANY,
        "shape": st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**62, 2**64]), max_size=3) | ANY,
        "data_offsets": st.tuples(st.integers(-20, 40), st.integers(-20, 40)) | ANY,
    }
)


@given(st.dictionaries(st.text(max_size=3), ENTRY | ANY, max_size=3) | ANY | st.binary(max_size=30))
@example({"a": {"dtype": "U8", "shape": [17], "data_offsets": [0, 17]}})
@example({"a": {"dtype": "U8", "shape": [4], "data_offsets": [-4, 0]}})
@example({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}})
@example({"a": {"dtype": "F32", "shape": [0, 2**64], "data_offsets": [0, 0]}})
@example(b"[" * 100_000)
def test_a_header_that_is_wrong_reads_nothing_outside_of_the_file(header):
    valid = content(header)
    try:
        arrays = _safetensors.array_views(valid)
    except ValueError:
        with pytest.raises(ValueError):  # of which kind, is the caller's to say
            _safetensors.read_selected(io.BytesIO(valid), len(valid), EVERY, 10**9)
        return
    some = _safetensors.read_selected(io.BytesIO(valid), len(valid), EVERY, 10**9)
    assert {name: array.tobytes() for name, array in some.items()} == {n: a.tobytes() for n, a in arrays.items()}
    begin, size = np.frombuffer(valid, np.uint8).ctypes.data, len(valid)
    for array in arrays.values():
        assert array.size == 0 or begin <= array.ctypes.data <= array.ctypes.data + array.nbytes <= begin + size


@given(st.dictionaries(NAMES, ARRAYS, max_size=4), st.data())
def test_some_arrays_are_those_among_all(arrays, data):
    valid = b"".join(_safetensors.file_parts(arrays))
    names = data.draw(st.sets(st.sampled_from([*arrays, "another"])))
    some = _safetensors.read_selected(io.BytesIO(valid), len(valid), names, 10**9)
    assert some.keys() == names & arrays.keys()
    for name, array in some.items():
        expected = _safetensors.array_views(valid)[name]
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes()


def test_some_arrays_take_no_memory_for_the_others(tmp_path):
    ring = np.ones((1000, 5000))  # 40 MB
    run.write_checkpoint(tmp_path / "point", "state", {"ring": ring, "few": np.arange(3)}, {})
    tracemalloc.start()
    arrays = run.read_arrays(tmp_path / "point", "state", ["few", "none"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6
    assert {name: array.tolist() for name, array in arrays.items()} == {"few": [0, 1, 2]}
    with pytest.raises(run.DamagedError, match=r"state\.safetensors .* \(ring are larger than 1,000 bytes\)"):
        run.read_arrays(tmp_path / "point", "state", ["ring"], max_bytes=1000)
    with open(tmp_path / "point" / "state.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0")
    with pytest.raises(run.DamagedError, match="truncated or altered"):
        run.read_arrays(tmp_path / "point", "state", ["few"])


@pytest.mark.parametrize("shape", [[2.0], [-1, -2], [0, 1 << 70], ["2"], 2, [True, 2.5]])
def test_a_shape_that_is_none_is_refused(shape):
    data = content({"a": {"dtype": "F64", "shape": shape, "data_offsets": [0, 16]}})
    for read in (_safetensors.array_views, lambda c: _safetensors.read_selected(io.BytesIO(c), len(c), "a", 99)):
        with pytest.raises(ValueError, match="its header is wrong"):
            read(data)


@pytest.mark.parametrize("cut", [0, 7, 8, 20])
def test_a_file_that_ends_before_its_header_does_is_refused(cut):
    with pytest.raises(ValueError, match="it has no header"):
        _safetensors.array_views(content({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}})[:cut])


def test_a_checkpoint_is_written_and_mapped_without_a_copy(tmp_path):
    array = np.zeros((1000, 5000))  # 40 MB
    tracemalloc.start()
    run.write_checkpoint(tmp_path / "point", "state", {"a": array[:900], "b": np.arange(3)}, {})
    arrays, _ = run.read_checkpoint(tmp_path / "point", "state", mapped=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6
    assert arrays["a"].shape == (900, 5000)


def test_what_is_written_to_a_mapped_array_stays_in_the_process(tmp_path):
    run.write_checkpoint(tmp_path / "point", "state", {"a": np.arange(5)}, {})
    arrays, _ = run.read_checkpoint(tmp_path / "point", "state", mapped=True)
    arrays["a"][:] = 7
    again, _ = run.read_checkpoint(tmp_path / "point", "state")
    assert again["a"].tolist() == [0, 1, 2, 3, 4]
    (tmp_path / "point" / "state.safetensors").unlink()
    assert arrays["a"].tolist() == [7] * 5


def test_an_empty_file_is_refused_mapped_too(tmp_path):
    run.write_checkpoint(tmp_path / "point", "state", {"a": np.arange(5)}, {})
    (tmp_path / "point" / "state.safetensors").write_bytes(b"")
    with pytest.raises(run.DamagedError, match="truncated or altered"):
        run.read_checkpoint(tmp_path / "point", "state", mapped=True)
