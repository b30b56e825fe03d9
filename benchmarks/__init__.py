"""Benchmarks: ours against the peers, in turn, in one run. `make bench` runs all of them."""
