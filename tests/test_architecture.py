"""The shape of the house: imports run downhill, and nothing in it can run code from a file."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Top to bottom; a unit imports from its own row or the rows below it.
ROWS = (
    (
        "cli",
        "qase_app",
        "pytest_plugin",
        "report",
        "launch",
        "hydra_compose",
        "dry_run",
        "search_path",
        "job",
        "verify",
        "compare",
        "prioritise",
    ),
    ("training",),
    ("config", "terminal"),
    ("gates", "tracking"),
    ("rollout", "metrics", "evidence", "diagnostics"),
    ("policy", "envs", "rewards", "exposure"),
    ("run", "seeding", "hashing", "provenance"),
    ("net",),
    ("validation_errors", "dotted_keys", "errors", "formatting", "plugins", "registry", "agent_registry", "target"),
)
LEVEL = {unit: level for level, row in enumerate(ROWS) for unit in row}
RUNS_CODE_FROM_FILES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code"}
HEAVY = ("torch", "scipy.stats", "sklearn", "wandb", "matplotlib", "gymnasium", "tensorboard", "polars")


def sources(*folders):
    """Every Python file of this project below some folders, parsed."""
    return {
        file.relative_to(ROOT): ast.parse(file.read_text(encoding="utf-8"))
        for folder in folders
        for file in sorted((ROOT / folder).rglob("*.py"))
    }


def imported(tree):
    """The dotted names that a module imports, at any depth; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unit_of(path):
    """The unit of a file of rl_eval; None for the package itself."""
    name = path.relative_to("rl_eval").parts[0].removesuffix(".py")
    return None if name == "__init__" else name


def edges():
    """(importing unit, imported unit, file) within rl_eval."""
    for path, tree in sources("rl_eval").items():
        for name in imported(tree):
            parts = name.split(".")
            here = unit_of(path)
            if parts[0] == "rl_eval" and here and len(parts) > 1 and not parts[1].startswith("__") and parts[1] != here:
                yield here, parts[1], path


def test_every_part_has_its_row():
    units = {unit_of(path) for path in sources("rl_eval")} - {None}
    assert units <= LEVEL.keys(), "say in ROWS, and in the design, where a new part stands"


def test_imports_run_downhill():
    uphill = [f"{path} imports {there}" for here, there, path in edges() if LEVEL[there] < LEVEL[here]]
    assert uphill == []


def test_parts_do_not_import_each_other_in_a_circle():
    graph = {}
    for here, there, _ in edges():
        graph.setdefault(here, set()).add(there)
    graphlib.TopologicalSorter(graph).prepare()  # raises on a circle


def test_agents_know_nothing_of_judging_and_judging_nothing_of_agents():
    for folder, other in (("agents", "rl_eval"), ("rl_eval", "agents")):
        for path, tree in sources(folder).items():
            assert other not in {name.split(".")[0] for name in imported(tree)}, path


def test_agents_know_torch_numpy_and_gymnasium_alone():
    allowed = {"agents", "torch", "numpy", "gymnasium", "annotated_types", "onnx", *sys.stdlib_module_names}
    for path, tree in sources("agents").items():
        assert {name.split(".")[0] for name in imported(tree)} <= allowed, path


def calls_that_run_code(tree):
    """Calls and keywords that would let a file that is read run code."""
    safe = {
        c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and "yaml.SafeLoader" in map(ast.unparse, c.bases)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node.func)
        if text in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
            yield text
        if text in ("torch.load", "torch.save", "yaml.unsafe_load", "yaml.full_load"):
            yield text
        loaders = {ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "Loader"}
        if text == "yaml.load" and not (loaders and loaders <= safe):
            yield text
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
            if keyword.arg in ("allow_pickle", "shell") and not off:
                yield f"{text}({keyword.arg}=…)"


def test_nothing_read_from_a_file_can_run_code():
    files = sources("rl_eval", "agents") | {Path("train.py"): ast.parse((ROOT / "train.py").read_text())}
    for path, tree in files.items():
        names = set(imported(tree))
        assert not {name.split(".")[0] for name in names} & RUNS_CODE_FROM_FILES, path
        assert list(calls_that_run_code(tree)) == [], path
        unpickles = [name for name in names if name.rpartition(".")[2] == "load_from_pkl"]
        assert not unpickles or path == Path("rl_eval/policy/_sb3.py"), path  # there, behind --trust


@pytest.mark.parametrize(
    "code",
    ["eval('1')", "torch.load(f)", "yaml.load(f, Loader=L)", "np.load(f, allow_pickle=True)", "run(c, shell=yes)"],
)
def test_the_check_itself_sees_what_it_forbids(code):
    assert list(calls_that_run_code(ast.parse(code)))


def test_no_file_is_a_drawer_for_anything():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler"}
    names = {path.stem.lstrip("_") for path in sources("rl_eval", "agents", "tests", "benchmarks")}
    assert not names & vague


def heavy_after(code, *arguments):
    """Which heavy libraries a fresh interpreter holds after running some code."""
    tail = f"\nimport sys; print('HEAVY', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + tail, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("HEAVY")[2].split()


def test_help_answers_without_loading_anything_heavy():
    code = (
        "import runpy\ntry: runpy.run_path('train.py', run_name='__main__')\nexcept SystemExit as e: assert not e.code"
    )
    assert heavy_after(code, "--help") == []


@pytest.mark.parametrize("module", ["rl_eval.pytest_plugin", "rl_eval.launch", "rl_eval.run", "agents.config"])
def test_modules_that_everything_starts_with_are_light(module):
    assert heavy_after(f"import {module}") == []
