"""The judge that a command line names: a model file, or an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rl_eval.domains.prompt.scoring.answer_cache import AnswerCache
from rl_eval.domains.prompt.scoring.budget import Budget
from rl_eval.domains.prompt.scoring.endpoint import EndpointJudge, Measure
from rl_eval.domains.prompt.scoring.judge import Judge, LocalJudge
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief


def choose_judge(model: str | None, base_url: str | None, measure: str, budget: Budget, cache: Path | None) -> Judge:
    """A judge.

    Args:
        model: a GGUF file, or with a base URL the model's name there.
        measure: for an endpoint: logprob, accuracy or grade.
        cache: a file with earlier answers of the judge.

    Raises:
        InputError: no model, another measure, a missing extra, or what the judge itself raises.
    """
    if model is None:
        raise InputError("no judge is named: add --model FILE, a GGUF file, or --base-url URL --model NAME")
    if base_url is None:
        if measure != "logprob":
            raise InputError(f"--score {brief(measure, 40)} is for an endpoint: add --base-url, or leave it out")
        return LocalJudge(Path(model), cache=AnswerCache(cache))
    measures: tuple[Measure, ...] = get_args(Measure)
    for allowed in measures:
        if measure == allowed:
            return EndpointJudge(base_url, model, allowed, budget, cache=AnswerCache(cache))
    raise InputError(f"--score is {brief(measure, 40)!r}: {nearest(measure, measures)}use one of {', '.join(measures)}")


def judge_facts(judge: Judge) -> list[str]:
    """What a report says of a judge's requests: one line each."""
    return judge.facts() if isinstance(judge, EndpointJudge) else []
