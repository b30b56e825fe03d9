"""What a candidate has to show before it may serve: one `Proof`, paired against the champion.

The suites that gate CI, off-policy estimates on logged traffic, forgetting and transfer over earlier periods, and
robustness against small changes of observations. Each part can be used on its own.
"""

from rl_eval.production.proof.candidate_run import read_fisher, write_candidate
from rl_eval.production.proof.finding import Decision, Finding
from rl_eval.production.proof.off_policy import LoggedTraffic
from rl_eval.production.proof.proving import Judged, Periods, Proof, prove
from rl_eval.production.proof.transfer import Transfer, backward_transfer, forward_transfer, transfer

__all__ = [
    "Decision",
    "Finding",
    "Judged",
    "LoggedTraffic",
    "Periods",
    "Proof",
    "Transfer",
    "backward_transfer",
    "forward_transfer",
    "prove",
    "read_fisher",
    "transfer",
    "write_candidate",
]
