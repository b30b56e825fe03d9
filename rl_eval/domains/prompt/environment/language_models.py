"""Which language models a config names: one of the table, one in a file, or one behind an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from rl_eval.domains.file_stamps import file_stamp
from rl_eval.domains.prompt.config import Config, JudgeConfig
from rl_eval.domains.prompt.scoring.answer_cache import AnswerCache
from rl_eval.domains.prompt.scoring.budget import Budget
from rl_eval.domains.prompt.scoring.collect import Job, collect, missing
from rl_eval.domains.prompt.scoring.endpoint import EndpointJudge, endpoint_hash
from rl_eval.domains.prompt.scoring.language_model import model_hash
from rl_eval.domains.prompt.scoring.processes import collect_with_file
from rl_eval.domains.prompt.scoring.scores import ScoreTable, append_repeats
from rl_eval.envs.process_count import cores, is_worker
from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.formatting import brief, escape_controls
from rl_eval.terminal import ProgressLine, print_line


@dataclass(frozen=True)
class NamedModel:
    """A language model of a config.

    Attributes:
        hash: as the table of scores names it.
        file: a GGUF file that scores what the table lacks.
        endpoint: how to ask one that does; neither: the table is all there is.
    """

    hash: str
    file: Path | None = None
    endpoint: JudgeConfig | None = field(default=None, repr=False)

    @property
    def can_score(self) -> bool:
        """Whether it scores prompts that the table lacks."""
        return self.file is not None or self.endpoint is not None


def feedback_of(config: Config, table: ScoreTable) -> NamedModel:
    """The language model whose scores the reward model learns.

    Raises:
        InputError: none is named, or there is no such model.
    """
    return _of_name(config.feedback, table, "feedback")


def judge_of(config: Config, table: ScoreTable) -> NamedModel:
    """The language model that judges.

    Raises:
        InputError: none is named, or there is no such model.
    """
    judge = config.judge
    if judge.base_url is None:
        return _of_name(judge.model, table, "judge.model")
    assert judge.model is not None
    return NamedModel(endpoint_hash(judge.base_url, judge.model, judge.score), endpoint=judge)


def model_files(config: Config) -> tuple[Path, ...]:
    """The files of language models that a config names, as far as they exist."""
    names = [config.feedback, None if config.judge.base_url is not None else config.judge.model]
    return tuple(Path(name) for name in names if name is not None and Path(name).is_file())


def _of_name(name: str | None, table: ScoreTable, key: str) -> NamedModel:
    if name is None:
        raise InputError(
            f"env.tasks=folder needs env.{key}: name a GGUF file, or a language model of the table at env.scores"
        )
    file = Path(name)
    if file.is_file():
        return NamedModel(_hash_of_file(file_stamp(file)), file)
    beginning = file.name.lower()
    hashes = [digest for digest, full in table.models.items() if name == digest or full.lower().startswith(beginning)]
    if len(hashes) != 1:
        given = brief(repr(escape_controls(name)), 80)
        which = "several models" if hashes else "no model"
        absent = " and there is no such file" if file.suffix == ".gguf" else ""
        raise InputError(
            f"the table of scores has {which} {given} for env.{key}{absent}: "
            f"it has {', '.join(table.models.values()) or 'none'}; make llm installs two"
        )
    return NamedModel(hashes[0])


@lru_cache(maxsize=8)
def _hash_of_file(stamp: tuple[str, int, int, int, int]) -> str:
    return model_hash(Path(stamp[0]))


def score_missing(out: Path, model: NamedModel, jobs: Sequence[Job]) -> None:
    """Let a model score the prompts that a table lacks; each score is written at once.

    A file is run by one process per core, and only by this one where it works for another. Processes that need the same
    scores wait for the one that makes them.

    Raises:
        InputError: a missing extra, no key, a budget that is used up, or a model that cannot score.
    """
    from filelock import FileLock

    if not _lacking(out, model, jobs):
        return
    if model.file is not None:
        require_extra("llm", "scoring with a language model", "xllamacpp")
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f"{out.name}.lock")):
        if todo := _lacking(out, model, jobs):
            if model.file is not None:
                _score_by_file(out, model.file, todo)
            elif model.endpoint is not None:
                _score_by_endpoint(out, model.endpoint, todo)


def _lacking(out: Path, model: NamedModel, jobs: Sequence[Job]) -> list[Job]:
    return missing(jobs, ScoreTable.load(out) if out.exists() else ScoreTable(), model.hash)


def _score_by_file(out: Path, file: Path, jobs: Sequence[Job]) -> None:
    with ProgressLine(len(jobs), f"scores by {file.name}", unit="prompts") as progress:
        collect_with_file(out, file, jobs, 1 if is_worker() else cores(), progress.update)


def _score_by_endpoint(out: Path, settings: JudgeConfig, jobs: Sequence[Job]) -> None:
    assert settings.base_url is not None
    assert settings.model is not None
    judge = EndpointJudge(
        settings.base_url,
        settings.model,
        settings.score,
        Budget(settings.calls, settings.money, settings.price_in, settings.price_out),
        cache=AnswerCache(out.with_name(f"{out.name}.answers")),
    )
    try:
        with ProgressLine(len(jobs), f"scores by {judge.name}", unit="prompts") as progress:
            collect(out, judge, jobs, progress.update)
    finally:
        append_repeats(out, judge.hash, judge.name, judge.repeated, judge.different)
        for fact in judge.facts():
            print_line(fact)
