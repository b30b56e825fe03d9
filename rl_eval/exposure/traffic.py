"""What a policy learned from beyond its environment: logged traffic; only its observations are kept."""

from __future__ import annotations

import numpy as np

from rl_eval import domains
from rl_eval.domains import EnvConfig
from rl_eval.exposure.exposure_file import Exposure
from rl_eval.exposure.fingerprints import Fingerprints, fingerprint_observations
from rl_eval.exposure.observation_hashes import CaseObservations, case_views, observed


def exposed_to_traffic(record: Exposure, env: EnvConfig, observations: np.ndarray) -> Exposure:
    """The record of a policy that has also learned from these observations.

    Raw fields are not logged, so what was learned from is found again by what the policy sees of it: a test set of
    equal observations is one that was learned from.

    Args:
        record: of what it was exposed to before.
        env: the environment of the record, with the preprocessing of its run.
        observations: `[N, D]`, of decisions; of an environment without cases, those that began an episode.

    Raises:
        InputError: the data of the environment is not here, or observations have another width.
    """
    if not len(observations):
        return record
    if not record.cases:
        exact, views = fingerprint_observations(observations)
    else:
        domain = domains.domain(env.name)
        if domain.case_index is None:  # cases are decided together, and one observation says little
            return record
        fields = domain.case_fields(env) or [f"column {i}" for i in range(observations.shape[1])]
        views = case_views(CaseObservations(observations, fields))
        exact = observed(views)
    no_seeds = np.empty(0, np.int64)
    traffic = Exposure(record.cases, Fingerprints.from_hashes(exact, views), Fingerprints.empty(), no_seeds, no_seeds)
    return record.union(traffic)
