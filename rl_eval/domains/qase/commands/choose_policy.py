"""Which policy orders the next cycle where a person names none: the best on the validation cycles of their project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_eval import domains, metrics, rollout
from rl_eval.domains.qase.config import Config
from rl_eval.errors import InputError
from rl_eval.formatting import number, quantity
from rl_eval.policy import Spaces
from rl_eval.policy import load as load_policy
from rl_eval.run import find_runs

OUTPUTS = Path("outputs")
FALLBACK = "baseline:failure_rate"
BASELINES = (FALLBACK, "baseline:last_failed_first")
METRIC = "apfd"
MAX_RUNS = 20  # the newest
MAX_CYCLES = 100
FEW_CYCLES = 10  # validation cycles; with fewer, chance decides which is the best


@dataclass(frozen=True)
class Choice:
    """A policy, and the end of a sentence that says why it was chosen."""

    spec: str
    why: str


def choose_policy(config: Config, trust: bool) -> Choice:
    """The policy with the largest mean APFD on the validation cycles; all play the same cycles.

    Candidates are the newest finished runs of env=qase and two baselines. A baseline wins if it is as good as the best
    run. If nothing can be compared, the newest run is taken, or the failure-rate sort.

    Args:
        config: the project and its results.
        trust: whether plugins of runs may be imported.
    """
    below = f"of env=qase below {OUTPUTS}/"
    finished = [run for run in find_runs(OUTPUTS)[0] if run.finished and run.config["env"].get("name") == "qase"]
    runs = [str(run.path) for run in reversed(finished[-MAX_RUNS:])]
    cycles, scores, passed_over = 0, dict[str, float](), list[str]()
    try:
        cycles = min(domains.domain(config.name).episodes(config, "validation") or 0, MAX_CYCLES)
        scores, passed_over = _scores(config, (*BASELINES, *runs), cycles, trust)
        reason = passed_over[0] if passed_over else "no validation cycle has a failure"
    except InputError as error:
        reason = str(error)
    if not scores:
        newest = f"the newest finished run {below}" if runs else f"because there is no finished run {below}"
        return Choice(runs[0] if runs else FALLBACK, f"{newest}, since none can be compared here: {reason}")
    first, *others = sorted(scores, key=lambda spec: -scores[spec])  # stable: of equal ones, a baseline
    why = (
        f"the best on {quantity(cycles, 'validation cycle')} of this project: APFD {number(scores[first])} of "
        f"{quantity(sum(spec in runs for spec in scores), 'finished run')} {below} and {len(BASELINES)} baselines"
    )
    if others:
        why += f"; next is {others[0]} with {number(scores[others[0]], distinct_from=scores[first])}"
    if cycles < FEW_CYCLES:
        why += "; with so few cycles the choice is a guess"
    if passed_over:
        why += f"; {len(passed_over)} passed over, such as {passed_over[0]}"
    return Choice(first, why)


def _scores(config: Config, specs: tuple[str, ...], cycles: int, trust: bool) -> tuple[dict[str, float], list[str]]:
    """The mean APFD of each policy, in their order, and a sentence for each that could not play.

    Raises:
        InputError: the project cannot be split into parts.
    """
    if not cycles:
        return {}, []
    copies = min(cycles, domains.domain(config.name).most_copies(config))
    vector = domains.make(config, n_envs=copies, part="validation", autoreset=False)
    values, passed_over = dict[str, float](), list[str]()
    try:
        for spec in specs:
            try:
                policy = load_policy(spec, Spaces.of(config, vector), config, trust=trust)
                episodes = rollout.play(vector, policy, seeds=range(cycles), order=0)
                values[spec] = metrics.compute(METRIC, episodes, config)
            except InputError as error:
                passed_over.append(str(error))
    finally:
        vector.close()
    return values, passed_over
