"""Records of the cases and episodes that training and validation used, for the held-out guard of gates.

An environment over a finite set of cases (`Domain.case_hashes`) was exposed to the cases of its training and
validation parts. Any other was exposed to the episodes it played, which their first observations stand for.

Each case or first observation has two fingerprints of 64 bits: `exact` (every field equal) and `near` (every column
of the observation equal to ten significant bits, about three digits). Among 5 million recorded and 25,000 held out,
two different ones share a fingerprint with probability 7e-9.
"""

from rl_eval.exposure.exposure_file import FILE, Exposure, read_exposure, write_exposure
from rl_eval.exposure.fingerprints import (
    Fingerprints,
    fingerprint_cases,
    fingerprint_observations,
    hash_rows,
    round_to_bits,
)
from rl_eval.exposure.first_observations import FirstObservationRecorder, RecordFirstObservations

__all__ = [
    "FILE",
    "Exposure",
    "Fingerprints",
    "FirstObservationRecorder",
    "RecordFirstObservations",
    "fingerprint_cases",
    "fingerprint_observations",
    "hash_rows",
    "read_exposure",
    "round_to_bits",
    "write_exposure",
]
