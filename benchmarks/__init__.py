"""Ours beside the peers, in turn, in one run; `make bench` runs them all."""
