"""Learning in production: the loop around a served policy.

Decisions and rewards go from the servers through a queue to the collector, which filters them into the store. Learning,
the proof of a candidate, the registry and the roll-out go on from there. Each part can be used on its own.
"""
