"""Read an OpenAPI 3 description: its operations, with references resolved. It may come from anyone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rl_eval.domains.qase.formats.values import decode_utf8, parse_json, read_bytes, read_list, read_object
from rl_eval.domains.qase.model.project import short_repr
from rl_eval.errors import InputError
from rl_eval.untrusted_files import BoundedLoader, load_yaml

MAX_BYTES = 64 << 20
MAX_YAML_BYTES = 10 << 20  # YAML takes a hundred times as long as JSON
MAX_OPERATIONS = 5000
METHODS = ("get", "post", "put", "patch", "delete")
_MAX_REFERENCES = 32  # in a chain
_JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation; `place` is `path`, `query`, `header` or `cookie`."""

    name: str
    place: str
    required: bool
    schema: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Scheme:
    """How a request is authorised: a header or a query parameter, and the text in front of the secret."""

    place: str
    name: str
    prefix: str = ""


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        key: its operationId; empty if it has none.
        tag: the first of its tags; empty if it has none.
        body: schema of the JSON body; None if it takes none.
        statuses: declared, as written: `201`, `4XX`, `default`.
        scheme: how a request is authorised; None if it needs no authorisation.
        not_supported: why no request can be made, in a few words; empty if one can.
    """

    method: str
    path: str
    key: str
    summary: str
    tag: str
    parameters: tuple[Parameter, ...]
    body: Mapping[str, Any] | None = field(repr=False)
    statuses: tuple[str, ...]
    scheme: Scheme | None
    not_supported: str = ""


class _YamlLoader(BoundedLoader):
    """YAML as OpenAPI has it: dates are text, as in JSON."""

    max_size = 128 << 20
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in BoundedLoader.yaml_implicit_resolvers.items()
    }


class Document:
    """A parsed description.

    Raises:
        InputError: it cannot be read, or is not OpenAPI 3.
    """

    def __init__(self, path: Path):
        self.where = str(path)
        data = read_bytes(path, MAX_BYTES)
        if data.lstrip()[:1] == b"{":
            values = parse_json(data, self.where)
        else:
            if len(data) > MAX_YAML_BYTES:
                raise InputError(f"{self.where} has more than {MAX_YAML_BYTES >> 20} MiB of YAML: convert it to JSON")
            try:
                values = load_yaml(decode_utf8(data, self.where), _YamlLoader)[1]
            except yaml.YAMLError as error:
                reason = " ".join(str(error).split())
                raise InputError(f"{self.where} cannot be read as JSON or YAML ({reason}): correct it") from error
        if not isinstance(values, dict):
            held = "is empty" if values is None else f"holds {short_repr(values)}"
            raise InputError(f"{self.where} {held}: give an OpenAPI 3 description, JSON or YAML")
        self.values: dict[str, Any] = values
        if b"\\ud" in data.lower():
            self._check_characters()
        version = str(self.values.get("openapi", ""))
        if not version.startswith("3."):
            given = (
                f"Swagger {self.values['swagger']}" if "swagger" in self.values else f"openapi: {short_repr(version)}"
            )
            raise InputError(f"not supported: {self.where} has {given}: convert it to OpenAPI 3")

    def _check_characters(self) -> None:
        """Raise InputError for a lone surrogate, which no file can hold."""
        try:
            json.dumps(self.values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{self.where} has an incomplete character (a lone surrogate, such as \\ud800): correct it"
            ) from error

    def resolve(self, node: Any, where: str) -> Mapping[str, Any]:
        """An object behind its references.

        Raises:
            InputError: not an object, a reference to another file or to nothing, or a circle of references.
        """
        for _ in range(_MAX_REFERENCES):
            values = read_object(node, where)
            reference = values.get("$ref")
            if not isinstance(reference, str):
                return values
            if not reference.startswith("#/"):
                raise InputError(
                    f"not supported: {where} refers to another file, {short_repr(reference)}: bundle the description "
                    "into one file"
                )
            node = self.values
            for part in reference[2:].split("/"):
                key = part.replace("~1", "/").replace("~0", "~")
                if not isinstance(node, dict) or key not in node:
                    raise InputError(f"{where} refers to {short_repr(reference)}, which does not exist: correct it")
                node = node[key]
        raise InputError(f"{where}: more than {_MAX_REFERENCES} references in a chain: correct them")

    def operations(self) -> Iterator[Operation]:
        """All operations, in the order of the file.

        Raises:
            InputError: a value of another type, or too many operations.
        """
        count = 0
        for path, item in read_object(self.values.get("paths", {}), f"{self.where}, paths").items():
            where = f"{self.where}, paths, {short_repr(path)}"
            values = self.resolve(item, where)
            shared = read_list(values.get("parameters"), f"{where}, parameters")
            for method in METHODS:
                if method in values:
                    count += 1
                    if count > MAX_OPERATIONS:
                        raise InputError(f"{self.where} has more than {MAX_OPERATIONS} operations: split it")
                    yield self._operation(str(path), method, values[method], shared, f"{where}, {method}")

    def _operation(self, path: str, method: str, node: Any, shared: list[Any], where: str) -> Operation:
        values = self.resolve(node, where)
        parameters: dict[tuple[str, str], Parameter] = {}
        not_supported = ""
        for i, entry in enumerate([*shared, *read_list(values.get("parameters"), f"{where}, parameters")]):
            at = f"{where}, parameters[{i}]"
            parameter = self._parameter(self.resolve(entry, at), at)
            parameters[parameter.place, parameter.name] = parameter
        body = None
        if "requestBody" in values:
            at = f"{where}, requestBody"
            request = self.resolve(values["requestBody"], at)
            content = read_object(request.get("content", {}), f"{at}, content")
            media = next((kind for kind in content if kind.partition(";")[0].strip().lower() == _JSON), None)
            if media is not None:
                entry = read_object(content[media], f"{at}, {media}")
                body = self._with_example(entry, at)
            elif content or request.get("required") is True:
                not_supported = f"the body is {short_repr(next(iter(content), 'of no type'))}, not {_JSON}"
        tags = read_list(values.get("tags"), f"{where}, tags")
        scheme, problem = self._scheme(values.get("security", self.values.get("security")), where)
        return Operation(
            method=method.upper(),
            path=path,
            key=str(values.get("operationId") or ""),
            summary=str(values.get("summary") or ""),
            tag=str(tags[0]) if tags else "",
            parameters=tuple(parameters.values()),
            body=body,
            statuses=tuple(map(str, read_object(values.get("responses", {}), f"{where}, responses"))),
            scheme=scheme,
            not_supported=not_supported or problem,
        )

    def _parameter(self, values: Mapping[str, Any], where: str) -> Parameter:
        name, place = values.get("name"), values.get("in")
        if not isinstance(name, str) or place not in ("path", "query", "header", "cookie"):
            raise InputError(f"{where}: a parameter needs 'name' and 'in': correct it")
        return Parameter(
            name, place, values.get("required") is True or place == "path", self._with_example(values, where)
        )

    def _with_example(self, values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """The schema of a parameter or body, with the example next to it."""
        schema = self.resolve(values.get("schema", {}), f"{where}, schema")
        if "example" in values:
            return {**schema, "example": values["example"]}
        examples = values.get("examples")
        if isinstance(examples, dict) and examples:
            first = self.resolve(next(iter(examples.values())), f"{where}, examples")
            if "value" in first:
                return {**schema, "example": first["value"]}
        return schema

    def _scheme(self, security: Any, where: str) -> tuple[Scheme | None, str]:
        """How the first alternative of `security` is met, and why it cannot be; no scheme where none is needed."""
        alternatives = read_list(security, f"{where}, security")
        if not alternatives or any(not alternative for alternative in alternatives):
            return None, ""
        names = list(read_object(alternatives[0], f"{where}, security[0]"))
        components = read_object(self.values.get("components", {}), f"{self.where}, components")
        schemes = read_object(components.get("securitySchemes", {}), f"{self.where}, securitySchemes")
        if len(names) != 1 or names[0] not in schemes:
            return None, "it needs several kinds of authorisation at once, or one that is not described"
        values = self.resolve(schemes[names[0]], f"{self.where}, securitySchemes, {short_repr(names[0])}")
        kind, name = values.get("type"), values.get("name")
        if kind == "apiKey" and isinstance(name, str) and values.get("in") in ("header", "query", "cookie"):
            if values["in"] == "cookie":
                return Scheme("header", "Cookie", f"{name}="), ""
            return Scheme(str(values["in"]), name), ""
        if kind == "http" and str(values.get("scheme")).lower() == "basic":
            return Scheme("header", "Authorization", "Basic "), ""
        if kind in ("http", "oauth2", "openIdConnect"):
            return Scheme("header", "Authorization", "Bearer "), ""
        return None, f"its authorisation of type {short_repr(kind)} is not known"
