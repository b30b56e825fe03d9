"""Records of the cases and episodes that training and validation used, for the held-out guard of gates.

An environment over a finite set of cases (`Domain.case_hashes`) was exposed to the cases of its training and
validation parts. Any other was exposed to the episodes it played, known by their first observations.

Each case or first observation has a fingerprint of 64 bits (every field equal) and `views`, further ones of what the
policy sees: of a case that is decided on its own those of `case_views`; of a first observation one (every column equal
to ten significant bits, about three digits). Among 5 million recorded and 25,000 held out, two different ones share a
fingerprint with probability 7e-9.
"""

from rl_eval.exposure.exposure_file import FILE, Exposure, read_exposure, read_exposure_of, write_exposure
from rl_eval.exposure.fingerprints import (
    Fingerprints,
    fingerprint_cases,
    fingerprint_observations,
    hash_rows,
    observations_of_cases,
    round_to_bits,
    view_width,
)
from rl_eval.exposure.first_observations import FirstObservationRecorder, RecordFirstObservations
from rl_eval.exposure.observation_hashes import (
    ROUNDINGS,
    CaseObservations,
    case_views,
    contains,
    equal_but_for_one_field,
    observed,
    rounded,
    view_count,
)
from rl_eval.exposure.traffic import exposed_to_traffic

__all__ = [
    "FILE",
    "ROUNDINGS",
    "CaseObservations",
    "Exposure",
    "Fingerprints",
    "FirstObservationRecorder",
    "RecordFirstObservations",
    "case_views",
    "contains",
    "equal_but_for_one_field",
    "exposed_to_traffic",
    "fingerprint_cases",
    "fingerprint_observations",
    "hash_rows",
    "observations_of_cases",
    "observed",
    "read_exposure",
    "read_exposure_of",
    "round_to_bits",
    "rounded",
    "view_count",
    "view_width",
    "write_exposure",
]
