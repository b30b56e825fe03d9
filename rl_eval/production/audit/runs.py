"""What `train.py` and pytest append, where `RL_EVAL_AUDIT` names a log: trainings and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl_eval.production.audit.log import append_where_configured
from rl_eval.run import Run, config_hash, read_checkpoint

if TYPE_CHECKING:
    from rl_eval.gates import SuiteVerdict

_MOST = 40  # runs and criteria of a verdict that a line names


def append_training(event: str, run: str, config: dict[str, Any], **facts: Any) -> None:
    """A training began or ended.

    Args:
        event: `training_began` or `training_ended`.
        run: its directory.
        config: of the run.
        facts: further ones.

    Raises:
        AuditError: the log cannot be written.
    """
    names = {"agent": config["agent"]["name"], "env": config["env"]["name"], "seed": config["seed"]}
    append_where_configured(event, "train.py", {"run": run, "config": config_hash(config), **names, **facts})


def append_end(run: Run) -> None:
    """How a training ended; as `append_training`."""
    info = run.info
    digests = {"files_sha256": info.get("files_sha256")}
    if run.finished:
        snapshot = run.judged_snapshot()
        digests |= {"snapshot": snapshot.name, "sha256": read_checkpoint(snapshot, "policy")[1].get("sha256")}
    facts = {"status": info.get("status"), "reason": info.get("reason"), "env_steps": info.get("env_steps")}
    append_training("training_ended", str(run.path), run.config, **facts, **digests)


def append_verdict(actor: str, verdict: SuiteVerdict) -> None:
    """A suite judged.

    Args:
        actor: `train.py` or `pytest`.

    Raises:
        AuditError: the log cannot be written.
    """
    criteria = [
        {"name": row.criterion, "decision": row.decision, "estimate": row.estimate, "threshold": row.threshold}
        for row in verdict.criteria[:_MOST]
    ]
    facts = {
        "suite": verdict.suite, "decision": verdict.decision, "part": verdict.part, "policy": verdict.policy,
        "runs": list(verdict.runs[:_MOST]), "test_set": verdict.test_set, "alpha": verdict.alpha, "criteria": criteria,
    }  # fmt: skip
    append_where_configured("verdict", actor, facts)
