"""Read and write a case as a JSON object, in the form of the JSON export and of `GET /v1/case`.

The two forms differ in names and shapes but mean the same, so one reader takes both.
"""

from __future__ import annotations

from typing import Any

from rl_eval.domains.qase.formats.enumerations import KNOWN_VALUES, Options, read_value
from rl_eval.domains.qase.formats.values import (
    build_model,
    read_flag,
    read_id,
    read_integer,
    read_list,
    read_number,
    read_object,
    read_text,
    text_field,
)
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import (
    PLAIN,
    Case,
    CaseStep,
    CustomField,
    Form,
    Parameter,
    ParameterGroup,
    short_repr,
)
from rl_eval.errors import InputError

TEXTS = ("description", "preconditions", "postconditions")
# Fields that only REST has and that are not used.
_UNUSED_FIELDS = frozenset(
    "position suite_id milestone_id isManual isToBeAutomated parameters member_id author_id created_at updated_at "
    "created updated deleted project_id attachments links external_issues hash".split()
)
MAX_STEP_DEPTH = 100


def read_case(
    values: dict[str, Any],
    where: str,
    notes: Notes,
    *,
    suite_id: int | None,
    options: Options | None = None,
    milestones: dict[int, str] | None = None,
) -> Case:
    """Read one case.

    Args:
        suite_id: the suite that contains it.
        options: what the integers of enumerations mean.
        milestones: id -> title, over REST.

    Raises:
        InputError: a wrong type, a missing id or title, a value that the model refuses.
    """
    fields: dict[str, Any] = {"suite_id": suite_id}
    for name in ("id", "title"):
        if values.get(name) is None:
            raise InputError(f"{where}, field {name!r}: it is missing, and every case needs one: export again")
    fields["id"] = read_id(values["id"], f"{where}, field 'id'")
    for name in ("title", *TEXTS):
        fields[name] = text_field(values, name, where)
    for name in KNOWN_VALUES:
        if name == "automation" and values.get("isManual") is not None:
            manual = read_flag(values["isManual"], f"{where}, field 'isManual'")
            planned = read_flag(values.get("isToBeAutomated"), f"{where}, field 'isToBeAutomated'")
            fields[name] = ("to-be-automated" if planned else "is-not-automated") if manual else "automated"
        else:
            fields[name] = read_value(name, values.get(name), options, where, notes)
    for name in ("is_flaky", "is_muted"):
        fields[name] = read_flag(values.get(name), f"{where}, field {name!r}")
    fields["milestone"] = _milestone(values, where, notes, milestones)
    fields["steps_type"] = text_field(values, "steps_type", where) or "classic"
    fields["steps"] = read_steps(values.get("steps"), f"{where}, steps")
    fields["parameters"] = _parameters(values, where)
    fields["tags"] = _tags(values.get("tags"), f"{where}, tags")
    fields["custom_fields"] = _custom_fields(values.get("custom_fields"), f"{where}, custom_fields")
    for name in values.keys() - _KNOWN_FIELDS - _UNUSED_FIELDS:
        notes.add(f"the field {short_repr(name)} of a case is not known: not used", where)
    return build_model(Case, fields, where)


def with_form(case: Case, values: dict[str, Any]) -> Case:
    """The case with the form that an export gave it."""
    form = form_difference(write_case(case), values)
    return case if form is PLAIN else case.model_copy(update={"form": form})


def form_difference(own_form: dict[str, Any], file_form: dict[str, Any]) -> Form:
    """The keys that a file wrote differently from our own form."""
    if own_form == file_form and [*map(type, own_form.values())] == [*map(type, file_form.values())]:
        return PLAIN
    written = {
        name: (own_form.get(name), value)
        for name, value in file_form.items()
        if name not in own_form or own_form[name] != value or type(own_form[name]) is not type(value)
    }
    return Form(written, {name: value for name, value in own_form.items() if name not in file_form})


def apply_form(own_form: dict[str, Any], form: Form) -> dict[str, Any]:
    """Our own form with the file's spelling restored where the meaning has not changed."""
    for name, (own_value, file_value) in form.written.items():
        if own_form.get(name) == own_value:
            own_form[name] = file_value
    for name, own_value in form.absent.items():
        if name in own_form and own_form[name] == own_value:
            del own_form[name]
    return own_form


def read_steps(value: Any, where: str, depth: int = 1) -> tuple[CaseStep, ...]:
    """Steps with their nested steps, ordered by position.

    Raises:
        InputError: a wrong type, a duplicate position, nesting that is too deep.
    """
    if depth > MAX_STEP_DEPTH:
        raise InputError(f"{where}: steps are nested more than {MAX_STEP_DEPTH} deep: export again")
    placed: list[tuple[int, CaseStep]] = []
    for i, entry in enumerate(read_list(value, where)):
        here = f"{where}[{i}]"
        if isinstance(entry, str):
            placed.append((i + 1, build_model(CaseStep, {"action": entry}, here)))
            continue
        step_values = read_object(entry, here)
        shared = step_values.get("shared_step_hash", step_values.get("shared"))
        values = {
            **{name: text_field(step_values, name, here) for name in ("action", "expected_result", "data")},
            "shared_step_hash": None if shared is None else read_text(shared, f"{here}.shared_step_hash") or None,
            "steps": read_steps(step_values["steps"], f"{here}.steps", depth + 1) if step_values.get("steps") else (),
        }
        position = step_values.get("position", i + 1)
        at = position if type(position) is int else read_integer(position, f"{here}.position")
        placed.append((at, build_model(CaseStep, values, here)))
    positions = [at for at, _ in placed]
    if len(set(positions)) != len(positions):
        raise InputError(f"{where}: two steps have the same position: give each its own position")
    return tuple(step for _, step in sorted(placed, key=lambda pair: pair[0]))


def _milestone(values: dict[str, Any], where: str, notes: Notes, milestones: dict[int, str] | None) -> str | None:
    milestone = values.get("milestone")
    if isinstance(milestone, dict):
        milestone = milestone.get("title")
    if milestone is not None:
        return read_text(milestone, f"{where}, field 'milestone'") or None
    key = read_id(values.get("milestone_id"), f"{where}, field 'milestone_id'")
    if key is None:
        return None
    if key not in (milestones or {}):
        notes.add(f"milestone {key} has no title: its id is kept", where)
        return str(key)
    return (milestones or {})[key]


def _parameters(values: dict[str, Any], where: str) -> tuple[Parameter | ParameterGroup, ...]:
    for name in ("parameters", "params"):  # the newer name first; a REST response can have both
        parameters, here = values.get(name), f"{where}, {name}"
        if isinstance(parameters, dict):  # the older form: title -> values
            return tuple(
                build_model(
                    Parameter, {"title": title, "values": _texts(title_values, f"{here}.{short_repr(title)}")}, here
                )
                for title, title_values in parameters.items()
            )
        if parameters:
            return tuple(_parameter(entry, f"{here}[{i}]") for i, entry in enumerate(read_list(parameters, here)))
    return ()


def _parameter(entry: Any, where: str) -> Parameter | ParameterGroup:
    parameter = read_object(entry, where)
    kind = parameter.get("type", "single")
    if kind == "group":
        items = [
            _single(item, f"{where}.items[{i}]") for i, item in enumerate(read_list(parameter.get("items"), where))
        ]
        return build_model(ParameterGroup, {"items": tuple(items)}, where)
    if kind != "single":
        raise InputError(f"{where}.type: {short_repr(kind)} where 'single' or 'group' is needed: export again")
    return _single(parameter.get("item", parameter), where)


def _single(entry: Any, where: str) -> Parameter:
    parameter = read_object(entry, where)
    values = {
        "title": read_text(parameter.get("title"), f"{where}.title"),
        "values": _texts(parameter.get("values"), where),
    }
    return build_model(Parameter, values, where)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    return tuple(
        read_text(entry, f"{where}.values[{i}]") for i, entry in enumerate(read_list(value, f"{where}.values"))
    )


def _tags(value: Any, where: str) -> tuple[str, ...]:
    tags = []
    for i, entry in enumerate(read_list(value, where)):
        title = entry.get("title") if isinstance(entry, dict) else entry
        if not isinstance(title, str):
            raise InputError(f"{where}[{i}]: {short_repr(entry)} where a tag's title is needed: export again")
        tags.append(title)
    return tuple(tags)


def _custom_fields(value: Any, where: str) -> tuple[CustomField, ...]:
    if isinstance(value, dict):  # the form that is written over REST: id -> value
        value = [{"id": key, "value": entry} for key, entry in value.items()]
    fields: dict[int, CustomField] = {}
    for i, entry in enumerate(read_list(value, where)):
        here = f"{where}[{i}]"
        field = read_object(entry, here)
        key, raw_value = read_integer(field.get("id"), f"{here}.id"), field.get("value")
        if type(raw_value) in (int, float):  # a number field
            read_number(raw_value, f"{here}.value")
            raw_value = str(raw_value)
        text = read_text(raw_value, f"{here}.value")
        if key in fields:
            raise InputError(f"{here}.id: the custom field {key} appears twice in one case: export again")
        if text:  # an empty value means the same as none
            fields[key] = build_model(CustomField, {"id": key, "value": text}, here)
    return tuple(fields[key] for key in sorted(fields))


def write_case(case: Case) -> dict[str, Any]:
    """Write a case in the form of the JSON export."""
    return {
        "id": case.id,
        "title": case.title,
        **{name: getattr(case, name) for name in TEXTS},
        **{name: getattr(case, name) for name in ("priority", "severity", "type", "behavior", "automation", "status")},
        "is_flaky": "yes" if case.is_flaky else "no",
        "layer": case.layer,
        "milestone": case.milestone,
        "custom_fields": [{"id": field.id, "value": field.value} for field in case.custom_fields],
        "steps_type": case.steps_type,
        "steps": _write_steps(case.steps),
        "tags": list(case.tags),
        "params": [_write_parameter(entry) for entry in case.parameters],
        "is_muted": case.is_muted,
    }


def _write_steps(steps: tuple[CaseStep, ...]) -> list[dict[str, Any]]:
    written = []
    for position, step in enumerate(steps, 1):
        entry: dict[str, Any] = {
            "position": position,
            "action": step.action,
            "expected_result": step.expected_result,
            "data": step.data,
            "steps": _write_steps(step.steps),
        }
        if step.shared_step_hash is not None:
            entry["shared_step_hash"] = step.shared_step_hash
        written.append(entry)
    return written


def _write_parameter(entry: Parameter | ParameterGroup) -> dict[str, Any]:
    if isinstance(entry, ParameterGroup):
        return {"type": "group", "items": [_write_parameter(item) for item in entry.items]}
    return {"title": entry.title, "values": list(entry.values)}


_KNOWN_FIELDS = write_case(Case(id=1, title="-")).keys()
