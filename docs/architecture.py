"""The layers of rl_eval, read from its imports: `python docs/architecture.py` redraws docs/architecture.svg."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
FIGURE = ROOT / "docs" / "architecture.svg"

# From the top layer down. A package imports packages of lower layers, and of its own layer if that makes no cycle.
LAYERS: dict[str, tuple[str, ...]] = {
    "commands": (
        "cli",
        "pytest_plugin",
        "launch",
        "sweep_end",
        "hydra_compose",
        "search_path",
        "command_line",
        "job_elsewhere",
        "jobs_together",
        "job",
        "tuning",
        "verify",
        "replay",
    ),
    "production": ("production",),
    "serving": ("serving", "view"),
    "training": ("training", "dry_run", "machine", "config"),
    "domains": (
        "domains.threat",
        "domains.qase",
        "domains.prompt",
        "domains.webtest",
        "domains.lunarlander",
        "domains.cartpole",
        "domains.gym",
    ),
    "presentation": ("report", "compare", "terminal", "tracking", "run_index"),
    "acceptance": ("gates",),
    "diagnosis": ("diagnostics",),
    "evaluation": ("judged_policy", "scoring", "rollout", "metrics", "rewards"),
    "policies": ("policy",),
    "environments": ("envs",),
    "statistics": ("evidence",),
    "storage": ("foreign_logs", "cost", "run", "provenance", "exposure"),
    "network": ("net", "launchers"),
    "ground": (
        "domains",
        "plugins",
        "agent_registry",
        "registry",
        "target",
        "stop_signals",
        "device_queue",
        "memory",
        "seeding",
        "hashing",
        "formatting",
        "dotted_keys",
        "untrusted_files",
        "validation_errors",
        "extras",
        "checkout",
        "override_text",
        "redis_credentials",
        "errors",
        "synonyms",
    ),
}
LAYER_OF = {package: level for level, packages in enumerate(LAYERS.values()) for package in packages}


@dataclass
class Module:
    """One Python file and what it imports.

    Attributes:
        name: dotted.
        top, late: the dotted names that it imports when it is loaded, and inside functions. Imports only for
            type checkers are in neither.
    """

    name: str
    path: Path
    top: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)


def modules(*packages: str) -> dict[str, Module]:
    """Every module of some top-level packages, by name."""
    by_name = {}
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            module = Module(name, path)
            for imported, late in _imports(ast.parse(path.read_text(encoding="utf-8"))):
                (module.late if late else module.top).add(imported)
            by_name[name] = module
    return by_name


def _imports(tree: ast.AST, late: bool = False) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether inside a function) of every import that runs; `from a import b` is `a.b`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", late) for alias in node.names)
        else:
            inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(node, inside)


def module_of(imported: str, by_name: dict[str, Module]) -> str | None:
    """The module of an imported name; None for a library's."""
    while imported:
        if imported in by_name:
            return imported
        imported = imported.rpartition(".")[0]
    return None


def package_of(module: str) -> str | None:
    """The package of a module; None for rl_eval itself."""
    parts = module.split(".")[1:]
    if not parts:
        return None
    if parts[0] == "domains" and len(parts) > 1 and parts[1] not in ("base", "file_stamps", "rows", "text"):
        return ".".join(parts[:2])
    return parts[0]


def packages_imported(by_name: dict[str, Module]) -> dict[str, set[str]]:
    """Package -> the other packages that it imports, inside functions as well."""
    graph: dict[str, set[str]] = {}
    for module in by_name.values():
        here = package_of(module.name)
        if here is None:
            continue
        targets = {module_of(name, by_name) for name in module.top | module.late}
        packages = {package_of(target) for target in targets if target}
        graph.setdefault(here, set()).update(package for package in packages if package not in (None, here))
    return graph


def draw(by_name: dict[str, Module]) -> str:
    """The packages as SVG: a row and a column for each, a dot where the row's package imports the column's."""
    graph = packages_imported(by_name)
    packages = [package for layer in LAYERS.values() for package in layer if package in graph]
    step, left, top = 22, 270, 150
    width, height = left + step * len(packages) + 70, top + step * len(packages) + 20
    position = {package: index for index, package in enumerate(packages)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="Which package imports which: every dot is right of the diagonal">',
        "<style>text{font:13px system-ui,sans-serif;fill:#1f2328}.layer{font-weight:600}"
        "circle{fill:#0969da}.line{stroke:#d1d9e0}.self{fill:#d1d9e0}"
        "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}circle{fill:#4493f8}"
        ".line{stroke:#3d444d}.self{fill:#3d444d}}</style>",
    ]
    for layer, names in LAYERS.items():
        here = [position[package] for package in names if package in position]
        if not here:
            continue
        y = top + step * here[0]
        parts.append(f'<line class="line" x1="8" y1="{y}" x2="{width - 8}" y2="{y}"/>')
        parts.append(f'<text class="layer" x="8" y="{y + 16}">{escape(layer)}</text>')
    for package, index in position.items():
        x, y = left + step * index, top + step * index
        parts.append(f'<text x="130" y="{y + 16}">{escape(package)}</text>')
        parts.append(
            f'<text x="0" y="0" transform="translate({x + 15} {top - 8}) rotate(-60)">{escape(package)}</text>'
        )
        parts.append(f'<rect class="self" x="{x + 5}" y="{y + 5}" width="12" height="12" rx="2"/>')
        for target in sorted(graph[package], key=position.__getitem__):
            parts.append(f'<circle cx="{left + step * position[target] + 11}" cy="{y + 11}" r="4.5"/>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    FIGURE.write_text(draw(modules("rl_eval")), encoding="utf-8")
