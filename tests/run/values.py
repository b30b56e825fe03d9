"""Hypothesis strategies for arrays and JSON values, and helpers for run directories."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from rl_eval import run

DTYPES = st.sampled_from(
    [np.dtype(name) for name in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4", ">i8")]
)
ARRAYS = DTYPES.flatmap(lambda t: arrays_of.arrays(t, arrays_of.array_shapes(min_dims=0, min_side=0, max_dims=3)))
NAMES = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__")
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=6)  # without a dot
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def same(a, b):
    """Whether nested values are equal, arrays to the bit."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


def edit_info(path, **values):
    """Rewrite `run.json` with other values."""
    run.write_json(path / "run.json", {**run.read_json(path / "run.json"), **values})
