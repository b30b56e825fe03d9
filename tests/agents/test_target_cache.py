"""The cache of target values, with a network that records when it was called."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.target_cache import TargetCache


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 9))
def test_it_gives_what_the_network_gives_and_computes_it_once(seed, slots, rows):
    rng, cache = np.random.default_rng(seed), TargetCache(slots, 2)
    written, computed, version = np.arange(slots), [], 0
    for _ in range(40):
        event = rng.random()
        if event < 0.15:
            version += 1
            cache.clear()
            computed.clear()
        elif event < 0.5:
            written[rng.integers(slots)] = written.max() + 1
        elif event < 0.6:
            kept = {name: array.copy() for name, array in cache.state(slots).items()}
            cache = TargetCache(slots, 2)
            cache.load_state(kept)
        drawn = rng.integers(slots, size=rows)
        inputs = np.stack([drawn, written[drawn]], axis=1).astype(np.float32)

        def compute(rows_of, version=version):
            computed.append({tuple(row) for row in rows_of.tolist()})
            return rows_of + version

        values = cache.q_values(drawn, written[drawn], inputs, compute)
        np.testing.assert_array_equal(values, inputs + version)
        assert sum(len(rows_of) for rows_of in computed) == len(set().union(*computed))
