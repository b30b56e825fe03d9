"""`prove`: every part of a proof that can be had, on one candidate against its champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.production.learning_config import ProofConfig
from rl_eval.production.proof import off_policy, robustness, suites, transfer
from rl_eval.production.proof.finding import WORST, Decision, Finding
from rl_eval.production.proof.off_policy import LoggedTraffic
from rl_eval.production.proof.robustness import Gradients
from rl_eval.run import Run
from rl_eval.serving.served_policy import ServedPolicy


@dataclass(frozen=True)
class Proof:
    """What was found about a candidate.

    Attributes:
        candidate, champion: their versions.
        figures: of the parts, for tables and pages.
    """

    candidate: str
    champion: str
    findings: tuple[Finding, ...]
    figures: Mapping[str, Any]

    @property
    def decision(self) -> Decision:
        """The worst of the findings; INCONCLUSIVE where nothing was checked."""
        decisions = {finding.decision for finding in self.findings} - {"NOT_CHECKED"}
        return next((decision for decision in WORST if decision in decisions), "INCONCLUSIVE")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not PASS, a sentence each; where it is, what speaks for it."""
        others = [f for f in self.findings if f.decision in ("FAIL", "INCONCLUSIVE")]
        named = others or self.findings
        return tuple(f"{f.part} {f.decision}: {f.reason}" for f in named) or ("nothing was checked",)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as registry and audit log hold them."""
        return {
            "candidate": self.candidate,
            "champion": self.champion,
            "decision": self.decision,
            "findings": [asdict(finding) for finding in self.findings],
            "figures": dict(self.figures),
        }


@dataclass(frozen=True)
class Judged:
    """One of the two policies.

    Attributes:
        run: for suites; None: they are not played.
        gradients: of the lead of the best action, see `robustness`; None: the policy has none.
    """

    policy: ServedPolicy
    run: Run | None = None
    gradients: Gradients | None = None

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Greedy actions `[N]` from 0."""
        shaped = observations.reshape(len(observations), *(self.policy.spaces.observation.shape or ()))
        return self.policy.decide(shaped, np.ones(len(shaped), bool), None, np.random.default_rng(0)).drawn

    def probabilities(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Of the actions as they are served, `[N, A]`.

        Raises:
            InputError: the policy has none.
        """
        shaped = observations.reshape(len(observations), *(self.policy.spaces.observation.shape or ()))
        probabilities = self.policy.distributions(shaped, masks).probabilities
        if probabilities is None:
            raise InputError("off-policy estimates need discrete actions: prove this policy by suites")
        return probabilities


@dataclass(frozen=True)
class Periods:
    """Scores of policies on the held-out sets of T periods.

    Attributes:
        scores: `[T, T]`, the last row of the candidate; see `transfer`.
        first: `[T]` of the untrained policy; None: transfer is not judged.
        candidate, champion: `[N]` values in [0, 1] of the same held-out cases of earlier periods; None: not compared.
    """

    scores: np.ndarray
    first: np.ndarray | None = None
    candidate: np.ndarray | None = None
    champion: np.ndarray | None = None


def prove(
    candidate: Judged,
    champion: Judged,
    config: ProofConfig,
    *,
    traffic: LoggedTraffic | None = None,
    periods: Periods | None = None,
    suite_files: Sequence[Path] = (),
    seed: int = 0,
    trust: bool = False,
) -> Proof:
    """Judge a candidate; a check without data is left out, and says so.

    Raises:
        InputError: data that does not fit, or a suite that is not valid.
    """
    findings: list[Finding] = []
    figures: dict[str, Any] = {}
    for file in suite_files:
        if candidate.run is None:
            raise InputError(f"{file} judges runs: write the candidate as a run first")
        findings.append(suites.judge(file, candidate.run, champion.run, trust=trust))
    if traffic is None or len(traffic.rewards) < 2:
        findings.append(Finding("off_policy", "NOT_CHECKED", "there is no logged traffic"))
    elif candidate.policy.actions is None:
        findings.append(Finding("off_policy", "NOT_CHECKED", "actions are not discrete: this proof rests on the rest"))
    else:
        both = [judged.probabilities(traffic.observations, traffic.masks) for judged in (candidate, champion)]
        estimates = off_policy.estimate(traffic, both[0], both[1], config, seed)
        figures["off_policy"] = asdict(estimates)
        findings.append(off_policy.judge(estimates, config))
        if config.epsilon is not None:
            effect, finding = robustness.compare(
                (candidate.act, candidate.gradients),
                (champion.act, champion.gradients),
                traffic.observations,
                config,
                seed,
            )
            figures["robustness"] = asdict(effect)
            findings.append(finding)
    if periods is None:
        findings.append(Finding("forgetting", "NOT_CHECKED", "there is no held-out set of an earlier period"))
    else:
        figures["transfer"] = asdict(transfer.transfer(periods.scores, periods.first))
        findings += transfer.judge(periods.scores, periods.first, config)
        if periods.candidate is not None and periods.champion is not None and len(periods.candidate):
            findings.append(transfer.judge_held_out(periods.candidate, periods.champion, config))
    return Proof(candidate.policy.version, champion.policy.version, tuple(findings), figures)
