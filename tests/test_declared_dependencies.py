"""What is imported is declared in pyproject.toml, what is declared is imported, and an extra stays optional."""

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"rl_eval", "agents", "tests", "benchmarks", "clients", "conf_tables", "production_tables", "qase_tables"}
DISTRIBUTION_OF = {
    "PIL": "pillow",
    "google": "protobuf",
    "hydra": "hydra-core",
    "mlflow": "mlflow-skinny",  # its client and its registry, without its server
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Modules that run only where the extra is installed; an import elsewhere is inside `with imports_of_extra(...)`.
EXTRAS_OF_MODULES = {
    "agents": {"train"},
    "agents/export.py": {"train", "onnx"},
    "agents/redis_server.py": {"train", "redis"},
    "train.py": {"train"},
    "rl_eval/command_line.py": {"train"},
    "rl_eval/hydra_compose.py": {"train"},
    "rl_eval/launch.py": {"train"},
    "rl_eval/search_path.py": {"train"},
    "rl_eval/validation_errors.py": {"train"},
    "rl_eval/report/animation.py": {"train"},
    "rl_eval/envs/envpool_vector.py": {"fast"},
    "rl_eval/policy/_onnx_child.py": {"onnx"},
    "rl_eval/policy/_torchscript.py": {"train"},
    "rl_eval/tracking/_mlflow.py": {"mlflow"},
    "rl_eval/tracking/_tensorboard.py": {"tensorboard"},
    "rl_eval/tracking/_wandb.py": {"wandb"},
    "rl_eval/domains/prompt/routes.py": {"serve"},
    "rl_eval/domains/qase/formats/history_columns.py": {"qase"},
    "rl_eval/domains/qase/formats/history_csv.py": {"qase"},
    "rl_eval/domains/qase/service": {"qase"},
    "rl_eval/domains/webtest/shop": {"browser"},
    "rl_eval/production": {"production", "serve"},
    "rl_eval/production/registry/mlflow.py": {"production", "mlflow"},
    "rl_eval/serving": {"serve"},
    "rl_eval/tuning": {"train", "tune"},
    "rl_eval/view/app.py": {"serve"},
    "rl_eval/domains/threat/baselines.py": {"threat"},
    "rl_eval/domains/threat/columns": {"threat"},
    "rl_eval/domains/threat/formats": {"threat"},
    "rl_eval/domains/threat/row_chunks.py": {"threat"},
}
SERVERS = {"mlflow"}  # run by benchmarks as commands
TOOLS = {"mypy", "ruff", "pytest-xdist", "types-pyyaml", "hatchling"}  # run, not imported


@dataclass(frozen=True)
class Import:
    """One import of another project's package; `extra` is that of the `with imports_of_extra` around it."""

    distribution: str
    file: str
    line: int
    late: bool
    extra: str | None


def imports(tree, file="code.py"):
    """Every import of another project's package that runs; those for type checkers alone do not."""

    def walk(node, late, extra):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            names = []
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                names = [child.module]
            for name in {name.partition(".")[0] for name in names} - OURS - STANDARD:
                distribution = DISTRIBUTION_OF.get(name, name.replace("_", "-").lower())
                yield Import(distribution, file, child.lineno, late, extra)
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, inside, extra_around(child) or extra)

    yield from walk(tree, False, None)


def extra_around(node):
    """The extra that a `with imports_of_extra("…", …):` names."""
    for item in getattr(node, "items", ()):
        call = getattr(item, "context_expr", None)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "imports_of_extra":
            return call.args[0].value
    return None


def imports_of(*places):
    """The imports of all files below some places, as a list."""
    files = [
        file for place in places for file in sorted([*(ROOT / place).rglob("*.py"), ROOT / place]) if file.is_file()
    ]
    return [
        imported
        for file in files
        for imported in imports(ast.parse(file.read_text()), file.relative_to(ROOT).as_posix())
    ]


def names(requirements):
    """Distributions of a list of requirements, without those that only ask for an extra of a base dependency."""
    return {re.match(r"[\w.-]+", text)[0].lower() for text in requirements if "[" not in text}


def extras_of_module(file):
    """The extras without which a module is not run."""
    fitting = [place for place in EXTRAS_OF_MODULES if file == place or file.startswith(f"{place}/")]
    return EXTRAS_OF_MODULES[max(fitting, key=len)] if fitting else set()


STANDARD = sys.stdlib_module_names
BASE = names(PROJECT["project"]["dependencies"])
EXTRAS = {name: names(texts) for name, texts in PROJECT["project"]["optional-dependencies"].items()}
BENCH = names(PROJECT["dependency-groups"]["bench"])
PRODUCT = imports_of("rl_eval", "agents", "train.py")


def test_what_the_product_imports_is_declared_where_it_is_needed():
    missing = [
        imported
        for imported in PRODUCT
        for extras in [{imported.extra} if imported.extra else extras_of_module(imported.file)]
        if imported.distribution not in BASE.union(*(EXTRAS[name] for name in extras))
    ]
    assert missing == []


def test_every_base_dependency_is_imported_by_the_package():
    assert {imported.distribution for imported in imports_of("rl_eval")} >= BASE


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - {"all", "dev"}))
def test_every_package_of_an_extra_is_imported_by_its_code(extra):
    imported = {f.distribution for f in PRODUCT if extra in ({f.extra} if f.extra else extras_of_module(f.file))}
    assert imported >= EXTRAS[extra]


def test_the_extra_all_is_every_extra_for_users_but_the_largest():
    (text,) = PROJECT["project"]["optional-dependencies"]["all"]
    assert set(re.search(r"\[(.*)\]", text)[1].split(",")) == EXTRAS.keys() - {"all", "dev", "fast", "llm", "ray"}


def test_tests_and_benchmarks_import_what_is_declared():
    everything = BASE.union(*EXTRAS.values())
    assert {imported.distribution for imported in imports_of("tests", "docs")} <= everything
    assert {imported.distribution for imported in imports_of("benchmarks")} <= everything | BENCH


def test_what_is_declared_for_development_is_imported_by_tests_or_a_tool():
    assert EXTRAS["dev"] - TOOLS <= {imported.distribution for imported in imports_of("tests")}
    assert {imported.distribution for imported in imports_of("benchmarks")} >= BENCH - SERVERS


def test_constraints_pin_everything_exactly_and_name_no_address():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)] == []
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert BASE.union(*EXTRAS.values()) <= pinned


def test_requirements_are_ranges():
    project = PROJECT["project"]
    texts = [*project["dependencies"], *(t for group in project["optional-dependencies"].values() for t in group)]
    assert [text for text in texts if "==" in text] == []
    bounded = [text for text in texts if ">=" in text or text.startswith("rl_eval[")]
    assert sorted(set(texts) - set(bounded)) == ["types-pyyaml"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy.linalg", [("numpy", False, None)]),
        ("def f():\n  from PIL import Image", [("pillow", True, None)]),
        ("with imports_of_extra('onnx', ''):\n  import onnxruntime", [("onnxruntime", False, "onnx")]),
        ("if TYPE_CHECKING:\n  import torch", []),
        ("import os\nfrom rl_eval import run", []),
    ],
)
def test_the_check_itself_sees_imports(code, expected):
    assert [(imported.distribution, imported.late, imported.extra) for imported in imports(ast.parse(code))] == expected


def test_packages_of_extras_are_not_imported_with_the_package():
    """At the top of a module only where the whole module is the extra's."""
    early = [
        imported
        for imported in PRODUCT
        if not imported.late and imported.distribution not in BASE and not extras_of_module(imported.file)
    ]
    assert early == []
