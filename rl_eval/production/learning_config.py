"""The sections `training`, `trigger`, `proof` and `review` of a production config."""

from __future__ import annotations

from pydantic import Field

from rl_eval.production.section import Duration, FileName, Section

DAY_S = 86_400.0


class TrainingConfig(Section):
    """How a candidate learns from the champion's logs.

    Attributes:
        lr: None: that of the champion's run.
        rounds: times that PPO and A2C learn from the experience, with advantages estimated again; DQN takes so many
            times the gradient steps that its run took for each transition.
        full_rounds: the same of a full training from scratch.
        epochs: of PPO, passes over the experience per round; None: those of the champion's run.
        replay: earlier transitions for each new one.
        ewc_lambda: λ of elastic weight consolidation; 0: weights are not held.
        ewc_decay: how much of what held the champion still holds the candidate.
        fisher_rows: observations that the Fisher information is estimated at.
        lease: a training that says nothing for so long counts as dead, and another process takes it over.
    """

    lr: float | None = Field(None, gt=0, allow_inf_nan=False)
    rounds: int = Field(4, ge=1, le=1000)
    full_rounds: int = Field(30, ge=1, le=10_000)
    epochs: int | None = Field(None, ge=1, le=1000)
    replay: float = Field(1.0, ge=0, le=100, allow_inf_nan=False)
    ewc_lambda: float = Field(30.0, ge=0, allow_inf_nan=False)
    ewc_decay: float = Field(1.0, ge=0, le=1)
    fisher_rows: int = Field(512, ge=1, le=65_536)
    lease: Duration = 600.0


class TriggerConfig(Section):
    """When a training starts.

    Attributes:
        daily: time between two trainings; None: time starts none.
        experiences: accepted ones that start a training; None: they start none.
        least: accepted ones that any training needs, full ones excepted.
        drift: whether drift starts a training.
        drift_pause: time between a training and one that drift starts.
        monthly: time between two full trainings from scratch; None: there is none.
        drift_share: distance of Kolmogorov and Smirnov from which a feature has drifted.
        drift_alpha: chance that a comparison without drift says there is, over all features.
    """

    daily: Duration | None = DAY_S
    experiences: int | None = Field(1000, ge=1)
    least: int = Field(100, ge=1)
    drift: bool = True
    drift_pause: Duration = 3600.0
    monthly: Duration | None = 30 * DAY_S
    drift_share: float = Field(0.1, gt=0, lt=1)
    drift_alpha: float = Field(0.01, gt=0, lt=0.5)


class ReviewConfig(Section):
    """Which decisions a person sees.

    Attributes:
        error: largest share of errors among what is decided without a person.
        delta: chance that the bound is not kept, over draws of the held-out data.
        coverage: share of decisions that should be decided without a person; the search for a bound starts there.
    """

    error: float = Field(0.05, gt=0, lt=1)
    delta: float = Field(0.05, gt=0, lt=0.5)
    coverage: float = Field(0.8, ge=0, le=1)


class ProofConfig(Section):
    """What a candidate has to show.

    Attributes:
        suites: files of suites, the same as in CI; a relative one is below the folder of the config.
        margin: how much worse than the champion it may be, in reward, off-policy; the interval must be above.
        least_effective: decisions of its own that the logs must be worth (Kish), else nothing is estimated.
        forgetting: lowest BWT.
        transfer: lowest FWT; None: not asked.
        epsilon: largest change of each number of an observation; None: robustness is not asked.
        flips: largest share of decisions beyond the champion's that the worst change may turn.
        draws: random changes of each observation.
        steps: of the gradient-based change.
        rows: observations that are changed.
        confidence: of intervals.
    """

    suites: list[FileName] = []
    margin: float = Field(0.02, ge=0, allow_inf_nan=False)
    least_effective: float = Field(100.0, ge=2, allow_inf_nan=False)
    forgetting: float = Field(-0.02, le=0, allow_inf_nan=False)
    transfer: float | None = Field(0.0, allow_inf_nan=False)
    epsilon: float | None = Field(0.05, gt=0, allow_inf_nan=False)
    flips: float = Field(0.05, ge=0, le=1)
    draws: int = Field(16, ge=1, le=10_000)
    steps: int = Field(5, ge=1, le=1000)
    rows: int = Field(500, ge=2, le=100_000)
    confidence: float = Field(0.95, gt=0.5, lt=1)
