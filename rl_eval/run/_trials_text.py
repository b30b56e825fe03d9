"""One sentence on the trials of a run: whether training was better than the first policy, and which is judged."""

from __future__ import annotations

from collections.abc import Mapping

from rl_eval.errors import InputError
from rl_eval.formatting import brief, quantity
from rl_eval.run._directory import Run
from rl_eval.run._record import finite, validation_metric
from rl_eval.run._recorded_files import read_preprocessing


def trials_text(run: Run) -> str | None:
    """What `trials` in `run.json` says, for people; None if there were none, or if the record is damaged."""
    trials = run.info.get("trials")
    if not isinstance(trials, Mapping):
        return None
    count, difference, p_value = (finite(trials.get(key)) for key in ("episodes", "difference", "p_value"))
    if count is None or difference is None or p_value is None:
        return None
    better = trials.get("judged") == "the trained policy"
    where = "earlier data" if trials.get("trials") else "the validation part"
    later = finite(trials.get("later_p_value"))
    half = "" if better or later is None else f" and p = {later:.2g} on the later half"
    metric = brief(validation_metric(run) or "", 60).upper()
    return (
        f"{'better' if better else 'not better by evidence'} than {_first_policy(run)} on "
        f"{quantity(int(count), 'episode')} of {where}, {difference:+.3f} {metric}, p = {p_value:.2g}{half}: "
        f"the {'trained' if better else 'first'} policy is judged"
    )


def _first_policy(run: Run) -> str:
    """The first policy, with the sort or the run that it is."""
    if isinstance(start := run.config.get("init"), str):
        return f"the first policy, {brief(start, 120)},"
    agent = run.config.get("agent")
    network = agent.get("network") if isinstance(agent, Mapping) else None
    prior = network.get("prior") if isinstance(network, Mapping) else None
    try:
        features = (read_preprocessing(run) or {}).get("features")
        names = [str(features[index]).replace("_", " ") for index, _ in prior]  # type: ignore[index, union-attr]
    except (InputError, TypeError, ValueError, IndexError, KeyError):
        names = []
    return f"the {brief(' and '.join(names), 120)} sort (the first policy)" if names else "the first policy"
