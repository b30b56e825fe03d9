"""Write docs/reference/, the tables that are made from the code: `python docs/reference.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from conf_tables import code, config_page, environments_page, rewards_page, summary, table
from production_tables import production_page
from qase_tables import qase_project_page

import agents
from rl_eval import pytest_plugin
from rl_eval.diagnostics import list_diagnostics, seed_luck
from rl_eval.domains import Domain, domains
from rl_eval.domains.qase.service import BUGS
from rl_eval.domains.webtest.shop import DEFECTS
from rl_eval.evidence import RATIO_METRICS
from rl_eval.gates import SuiteSpec
from rl_eval.launchers import Launcher, LauncherPlugin
from rl_eval.metrics import Metric, list_metrics
from rl_eval.policy import SOURCES, Source
from rl_eval.production import states
from rl_eval.tracking import TrackerPlugin
from rl_eval.tracking.plugin import Tracker

FOLDER = Path(__file__).with_name("reference")
NOTE = "<!-- Written by `python docs/reference.py`. Change the code or its comments, then run it again. -->\n"


def suite_page() -> str:
    """Every key of a suite, from its schema."""
    schema = SuiteSpec.model_json_schema()
    parts = [
        "# Suite keys\n\n[Suites](../suites.md) shows how to write one. For completion in editors: `rl-eval schema "
        "> suite.schema.json`, and `# yaml-language-server: $schema=../suite.schema.json` as the first line.\n",
        table(("key", "value", "default", "what it is"), _suite_rows(schema, schema)),
    ]
    for key, name in (
        ("criteria.<name>", "CriterionSpec"),
        ("criteria.<name>.under", "UnderSpec"),
        ("episodes", "EpisodesSpec"),
        ("runs", "RunsSpec"),
        ("near_duplicates", "NearDuplicatesSpec"),
    ):
        section = schema["$defs"][name]
        text = " ".join(section["description"].split())
        header = ("key", "value", "default", "what it is")
        parts.append(f"## `{key}`\n\n{text}\n\n" + table(header, _suite_rows(section, schema)))
    return "\n".join(parts)


def _suite_rows(section: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, entry in section["properties"].items():
        default = entry.get("default")
        shown = "required" if name in section.get("required", ()) else code(_plain(default))
        yield code(name), _value(entry, schema), shown, entry.get("description", "")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or value in ([], {}) else str(value).replace("'", "")


def _value(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type of a value in a few words."""
    if "enum" in entry:
        return ", ".join(code(value) for value in entry["enum"])
    if "const" in entry:
        return code(entry["const"])
    if "$ref" in entry:
        return "section"
    if "anyOf" in entry:
        kinds = [_value(kind, schema) for kind in entry["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if entry.get("type") == "array":
        return "two numbers" if "prefixItems" in entry else f"list of {_value(entry['items'], schema)}s"
    names = {"string": "text", "integer": "whole number", "object": "mapping", "boolean": "true, false"}
    return names.get(entry.get("type", ""), entry.get("type", "value"))


def metrics_page() -> str:
    """Every metric, by kind."""
    kinds = {
        "task": "Computed from the policy's own episodes. A criterion on it is decided by evidence where this is "
        "possible; `bounds` means that the suite must declare them.",
        "training": "Computed from the files of one training run; decided by estimate.",
        "artefact": "Whether something holds for a run; 1 or 0.",
        "run": "Computed over several runs.",
    }
    parts = ["# Metrics\n\nWhat `metric:` in a criterion can name, and `validation.metric`.\n"]
    for kind, text in kinds.items():
        rows = [
            (code(m.name), m.description, m.better or "–", m.unit, _decided(m), ", ".join(map(code, m.needs)))
            for m in list_metrics()
            if m.kind == kind
        ]
        columns = 6 if kind == "task" else 5 if kind == "run" else 3
        header = ("metric", "what it is", "better", "unit", "by", "facts that it reads")
        parts.append(f"## {kind.capitalize()}\n\n{text}\n\n" + table(header[:columns], [row[:columns] for row in rows]))
    return "\n".join(parts)


def _decided(metric: Metric) -> str:
    if metric.name in RATIO_METRICS or (metric.variable is not None and metric.bounds is not None):
        return "evidence"
    return "evidence, with bounds" if metric.variable is not None or metric.statistic is not None else "estimate"


def findings_page() -> str:
    """Every finding of `rl-eval doctor`."""
    checks: dict[str, Callable[..., Any]] = {entry.name: entry.check for entry in list_diagnostics()}
    checks[seed_luck.__name__] = seed_luck
    rows = [(f"[`{name}`](#{name})", summary(check)) for name, check in sorted(checks.items())]
    details = [f"## `{name}`\n\n{inspect.getdoc(check)}\n" for name, check in sorted(checks.items())]
    text = (
        "# Findings\n\nWhat `rl-eval doctor` looks for: [Doctor](../doctor.md). A suite names one as `diagnostic:`.\n\n"
    )
    return text + table(("finding", "sign"), rows) + "\n" + "\n".join(details)


def extending_page() -> str:
    """The parts of a domain, a policy source, a tracker, a launcher and an agent."""
    contract = inspect.getdoc(Domain.make).split("\n\nRaises:")[0]  # type: ignore[union-attr]
    parts = [
        "# Parts of extensions\n\nWhat your code offers. [Extending](../extending.md) and "
        "[extending training](../extending-training.md) show one of each.\n",
        "## A domain\n\nAll but `name` and `make` are optional.\n",
        _attributes(Domain),
        _methods(Domain),
        f"### `make`\n\n{contract}\n",
        "## A policy source\n\nAll but `prefix`, `usage` and `load` are optional.\n",
        _attributes(Source),
        _methods(Source),
        "## A tracker\n\n`TrackerPlugin`:\n",
        _attributes(TrackerPlugin),
        "What `start` returns:\n",
        _methods(Tracker),
        "## A launcher\n\n`LauncherPlugin`:\n",
        _attributes(LauncherPlugin),
        "What `start` returns:\n",
        _attributes(Launcher),
        _methods(Launcher),
        "## An agent\n\nThe arguments of `agents.register`:\n",
        _attributes(agents.register, "Args:", "argument"),
    ]
    return "\n".join(parts)


def _attributes(thing: object, section: str = "Attributes:", kind: str = "attribute") -> str:
    """The entries of a section of a docstring."""
    text = inspect.getdoc(thing).split(f"{section}\n")[1]  # type: ignore[union-attr]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", text.split("\n\n")[0], re.MULTILINE)
    return table((kind, "what it is"), [(code(name), " ".join(entry.split())) for name, entry in entries])


def _methods(thing: type) -> str:
    """The public methods of a class, with their arguments."""
    rows = []
    for name, method in vars(thing).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            arguments = [word for word in inspect.signature(method).parameters if word != "self"]
            rows.append((code(f"{name}({', '.join(arguments)})"), summary(method)))
    return table(("method", "what it is"), rows)


def policies_page() -> str:
    """Every way to name a policy, and the baselines of each domain."""
    rows = [(code(source.usage), summary(source)) for source in SOURCES.available()]
    baselines = [(code(one.name), ", ".join(map(code, one.baselines))) for one in domains() if one.baselines]
    return (
        "# Policy sources\n\nHow a policy is named: in `--rl-run`, `better_than:`, `controls:` and `attainable:`.\n\n"
        + table(("name", "what it is"), rows)
        + "\n## Baselines\n\nWhat `baseline:<name>` can name. The pages of the domains say what they do.\n\n"
        + table(("domain", "baselines"), baselines)
    )


def pytest_options_page() -> str:
    """Every option of the pytest plugin."""
    options: list[tuple[str, dict[str, Any]]] = []
    group = SimpleNamespace(addoption=lambda name, **about: options.append((name, about)))
    pytest_plugin.pytest_addoption(SimpleNamespace(getgroup=lambda *_: group))  # type: ignore[arg-type]
    rows = []
    for name, about in options:
        value = about.get("metavar", "|".join(about.get("choices", ())))
        rows.append((code(f"{name} {value}".strip()), about["help"]))
    return (
        "# Options of pytest\n\n[Suites](../suites.md) shows the most important ones, [in CI](../ci.md) those that "
        "write files, [scale](../scale.md#what-a-run-costs) those of costs.\n\n"
        + table(("option", "what it does"), rows)
    )


def shop_defects_page() -> str:
    """Every seeded defect of the embedded shop."""
    sites = {one.id: code(one.site.replace("\\", "")) for one in DEFECTS}
    rows = [(one.id, one.kind, f"{one.severity:g}", one.where, one.trigger, sites[one.id]) for one in DEFECTS]
    return (
        "# Defects of the embedded shop\n\nThe seeded defects of [the embedded shop](../webtest-shop.md). A tester "
        "finds one when it reports a failure of its kind at its site.\n\n"
        + table(("id", "kind", "severity", "where", "how to trigger it", "site"), rows)
    )


def service_bugs_page() -> str:
    """Every seeded bug of the embedded service."""
    rows = [(one.id, one.name, one.component, one.wrong, one.symptom, ", ".join(map(str, one.cases))) for one in BUGS]
    return (
        "# Bugs of the embedded service\n\nThe seeded bugs of [the service under test](../qase-service.md#the-service)."
        " The last column has the ids of the cases that fail if the service has only that bug. Without bugs, every "
        "case passes that can be run.\n\n`draw_builds(seed, n)` draws the bugs of n builds, bool `[n, 24]`; a smaller "
        "n gives the first of the same builds. A build changes about two components, at rates that drift. Changes "
        "introduce bugs, which live one to five builds and return more easily later. A build has one to six bugs, "
        "three on average.\n\n" + table(("id", "name", "component", "wrong behaviour", "symptom", "cases"), rows)
    )


def rollout_states_page() -> str:
    """Every state of a roll-out, and the events that lead from one to another."""
    text = (
        "# States of a roll-out\n\nEach row is a state, each column an event, each cell the next state. Events without "
        "a cell are refused. [Production](../production.md#roll-out) describes roll-outs.\n\n"
    )
    return f"{text}{states.table_text()}\n\n{states.diagram_text()}\n"


def routes_page() -> str:
    """The routes of the policy server, from its OpenAPI schema."""
    from rl_eval.serving.openapi import schema

    whole = schema()
    rows = [
        (code(f"{method.upper()} {path}"), operation.get("description", "").replace("\n", " "))
        for path, methods in whole["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        "# Routes of the policy server\n\nA running server has the full schema at `/openapi.json`; `rl-eval serve "
        "--openapi` prints it. [Serving](../serving.md) shows how to use them.\n",
        table(("route", "what it does"), rows),
    ]
    bodies = (
        "SelectActionBody",
        "SelectActionAnswer",
        "StoreExperienceBody",
        "UpdateAnswer",
        "StatsAnswer",
        "HealthAnswer",
    )
    for name in bodies:
        model = whole["components"]["schemas"][name]
        fields = [
            (code(key), "required" if key in model.get("required", ()) else "", field.get("description", ""))
            for key, field in model["properties"].items()
        ]
        parts.append(f"## {name}\n\n{model['description']}\n\n" + table(("key", "", "what it is"), fields))
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "config.md": config_page,
    "environments.md": environments_page,
    "rewards.md": rewards_page,
    "suite.md": suite_page,
    "metrics.md": metrics_page,
    "findings.md": findings_page,
    "extending.md": extending_page,
    "policies.md": policies_page,
    "pytest-options.md": pytest_options_page,
    "routes.md": routes_page,
    "shop-defects.md": shop_defects_page,
    "service-bugs.md": service_bugs_page,
    "qase-project.md": qase_project_page,
    "rollout-states.md": rollout_states_page,
    "production.md": production_page,
}


def pages() -> dict[str, str]:
    """File name -> text, with a first page that lists the others."""
    texts = {name: page() for name, page in PAGES.items()}
    links = "".join(f"- [{text.partition(chr(10))[0].lstrip('# ')}]({name})\n" for name, text in texts.items())
    texts["README.md"] = "# Reference\n\nTables that are made from the code.\n\n" + links
    return {name: NOTE + "\n" + text.rstrip() + "\n" for name, text in texts.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
