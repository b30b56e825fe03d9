"""Acceptance suites: read from `suites/*.yaml` and checked before anything is played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from rl_eval.domains import DEFAULT, EnvConfig, config_class, domain, validate
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.gates.criterion import Criterion, read_criterion
from rl_eval.gates.needs import known_needs
from rl_eval.gates.suite_format import FIELDS, SuiteSpec
from rl_eval.gates.yaml_document import YamlDocument
from rl_eval.plugins import require_plugins, search_also
from rl_eval.seeding import gate_seed

JudgedPart = Literal["test", "validation"]


@dataclass(frozen=True)
class Suite:
    """A suite that has been read and checked.

    Attributes:
        path: the file; `label` is how messages name it.
        text: the YAML.
        env: the checked environment its runs were trained on.
        judged: the checked environment its episodes are played on (`env` with `judge_on`).
        items: what pytest shows, the criteria first, and the line of each.
        part: what it plays: its test set, or for choosing between runs the validation part or episodes like it.
        release_key: what decides how the criteria of `--rl-against` are decided; empty if there are none.
    """

    path: Path
    label: str
    spec: SuiteSpec
    env: EnvConfig
    judged: EnvConfig
    criteria: tuple[Criterion, ...] = field(repr=False)
    items: Mapping[str, int] = field(repr=False)
    text: str = field(repr=False)
    part: JudgedPart = "test"
    release_key: str = ""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @cached_property
    def gate_seed(self) -> int:
        """The seed of its held-out episodes, the same for every policy ever judged."""
        seed = self.spec.gate_seed
        return gate_seed(self.name, self.env.name) if seed is None else seed

    def on_part(self, part: JudgedPart) -> Suite:
        """The suite as it is played on another part."""
        return replace(self, part=part)


def load_suite(path: Path, label: str | None = None, *, trust: bool = False) -> Suite:
    """Read and check a suite.

    Args:
        path: the YAML file.
        label: how messages name it; default: the path.
        trust: whether the plugins that it names may be imported; those already imported need none.

    Raises:
        InputError: one sentence with file, line and key.
    """
    return _checked(YamlDocument.read(path, label), path, label or str(path), trust)


def parse_suite(text: str, path: Path, label: str) -> Suite:
    """Check a suite that is in no file.

    Args:
        path: whose name without its suffix is that of the suite.
        label: how messages name it.

    Raises:
        InputError: one sentence with line and key.
    """
    return _checked(YamlDocument(text, label), path, label, trust=False)


def _checked(document: YamlDocument, path: Path, label: str, trust: bool) -> Suite:
    spec = _spec(document)
    if trust:  # policies and environments may be next to the suite too
        search_also([str(path.parent.resolve())])
    try:
        require_plugins(spec.plugins, path.parent, "the suite", trust=trust)
    except InputError as error:
        raise document.error(("plugins",), str(error)) from error
    for need in spec.needs:
        if need not in (known := known_needs()):
            raise document.error(
                ("needs",),
                f"{brief(repr(need), 80)} is not something that a suite can need: {nearest(need, known)}use one of "
                f"{', '.join(known)}",
            )
    env = _environment(document, "env", {"name": spec.env} if isinstance(spec.env, str) else spec.env)
    judged = env
    if spec.judge_on:
        judged = _environment(document, "judge_on", {**env.model_dump(), **spec.judge_on})
        if judged.name != env.name:
            raise document.error(("judge_on", "name"), "cannot be another environment: the policies would not fit")
    _check_cases(document, spec, judged)
    criteria = tuple(read_criterion(document, spec, judged, name) for name in spec.criteria)
    if not any(criterion.metric.kind == "task" for criterion in criteria):
        raise document.error(
            ("criteria",),
            "no criterion is about the policy's own episodes: add at least one with a task metric, such as "
            "mean_return or f1",
        )
    items: dict[str, int] = {criterion.name: criterion.line for criterion in criteria}
    for item in ("controls", "attainable"):
        if getattr(spec, item):
            items[item] = document.line((item,))
    items["held_out"] = document.line(("leaks",))
    return Suite(path, label, spec, env, judged, criteria, items, document.text)


def _spec(document: YamlDocument) -> SuiteSpec:
    try:
        return SuiteSpec.model_validate(document.values)
    except ValidationError as error:
        raise document.invalid(error.errors(), FIELDS) from error


def is_for_other_environment(path: Path, label: str | None, name: str) -> bool:
    """Whether a suite with plugins names another environment than `name`; its plugins are not imported.

    Raises:
        InputError: the file is not a suite.
    """
    spec = _spec(YamlDocument.read(path, label))
    env = spec.env if isinstance(spec.env, str) else spec.env.get("name", DEFAULT)
    return bool(spec.plugins) and env != name


def _environment(document: YamlDocument, key: str, values: Mapping[str, Any]) -> EnvConfig:
    try:
        return validate(values)
    except ValidationError as error:
        fields = config_class(values).model_fields
        errors = [{**entry, "loc": (key, *entry["loc"])} for entry in error.errors()]
        raise document.invalid(errors, {key: [*fields]}) from error
    except InputError as error:
        raise document.error((key, "name"), str(error)) from error


def _check_cases(document: YamlDocument, spec: SuiteSpec, env: EnvConfig) -> None:
    if spec.units == "case" and not domain(env.name).independent_cases(env):
        raise document.error(
            ("units",), f"with this configuration, decisions on cases of {env.name} depend on each other: set episode"
        )
    # whether a set of data is finite is known without reading it
    if spec.population == "set" and not domain(env.name).has_cases:
        raise document.error(("population",), f"{env.name} has no finite test set: set source")
