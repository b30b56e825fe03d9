"""The structure of the project: imports run downhill, packages are in place, and reading files runs no code."""

import ast
import functools
import graphlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rl_eval.domains import DOMAINS

ROOT = Path(__file__).resolve().parents[1]


def load_figure():
    """`docs/architecture.py`, which reads the imports and draws them."""
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


figure = load_figure()
RUNS_CODE_FROM_FILES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code"}
FEW_MODULES = 5  # that a late import must save, where it saves no library
HEAVY = ("torch", "scipy.stats", "sklearn", "wandb", "matplotlib", "gymnasium", "tensorboard", "polars")


MODULES = figure.modules("rl_eval", "agents")
OURS = {name: module for name, module in MODULES.items() if name.startswith("rl_eval")}


def imported_modules(module):
    """The modules of ours that a module imports, when it is loaded or later."""
    return {figure.module_of(name, MODULES) for name in module.top | module.late} - {None, module.name}


def test_every_room_has_its_floor():
    packages = {figure.package_of(name) for name in OURS} - {None}
    assert packages == set(figure.LAYER_OF), (
        "say in LAYERS of docs/architecture.py, and in ARCHITECTURE.md, where it is"
    )


def test_imports_run_downhill():
    graph = figure.packages_imported(OURS)
    uphill = {
        (package, lower)
        for package in graph
        for lower in graph[package]
        if figure.LAYER_OF[lower] < figure.LAYER_OF[package]
    }
    assert uphill == set()


def test_no_two_rooms_import_each_other():
    graphlib.TopologicalSorter(figure.packages_imported(OURS)).prepare()  # raises on a circle


def test_no_two_modules_import_each_other():
    """Not even inside functions."""
    graphlib.TopologicalSorter({name: imported_modules(module) for name, module in MODULES.items()}).prepare()


@functools.cache
def loaded_with(name):
    """(modules of ours, top-level names of libraries) that are loaded with a module."""
    modules, libraries, queue = set(), set(), [name]
    while queue:
        name = queue.pop()
        if name in modules:
            continue
        modules.add(name)
        package = name.rpartition(".")[0]
        queue += [package] if package in MODULES else []
        for imported in MODULES[name].top:
            target = figure.module_of(imported, MODULES)
            if target:
                queue.append(target)
            elif imported.split(".")[0] not in sys.stdlib_module_names:
                libraries.add(imported.split(".")[0])
    return modules, libraries


def test_imports_inside_functions_save_start_up():
    """They load a library, or a good many modules of ours, that the module itself does without."""
    pointless = []
    for module in MODULES.values():
        modules, libraries = loaded_with(module.name)
        for imported in module.late:
            target = figure.module_of(imported, MODULES)
            if target:
                more_modules, more_libraries = loaded_with(target)
                if not more_libraries - libraries and len(more_modules - modules) < FEW_MODULES:
                    pointless.append(f"{module.name} imports {imported}")
    assert pointless == []


def aliases():
    """The short names that libraries are imported under, such as np."""
    trees = sources("rl_eval", "agents").values()
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import)]
    return {alias.asname for node in nodes for alias in node.names if alias.asname}


def test_no_python_outside_the_domains_names_one():
    """In code and prose alike; a name that is also a library's alias counts where it is a string of its own.

    A prompt is also the text that a policy server reads, so that word counts only as the name of an environment.
    """
    short = set(DOMAINS) & aliases()
    words = "|".join(sorted(set(DOMAINS) - short - {"prompt"})) + "|env(?:=|: ?)prompt|domains[./]prompt"
    strings = "|".join(sorted(short)) or "(?!)"
    names = re.compile(rf"(?<![a-z])({words})(?![a-z])|[\"']({strings})[\"']", re.IGNORECASE)
    domains = ROOT / "rl_eval" / "domains"
    for module in MODULES.values():
        inside = module.path.is_relative_to(domains)
        assert inside or not names.search(module.path.read_text(encoding="utf-8")), module.path


def test_the_figure_shows_the_imports():
    drawn = figure.draw(figure.modules("rl_eval"))
    assert figure.FIGURE.read_text(encoding="utf-8") == drawn, "draw it again with `python docs/architecture.py`"


def test_the_page_names_every_room():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    missing = [package for package in figure.LAYER_OF if f"`{package}`" not in page]
    assert missing == []


def files_of(*folders):
    """Every Python file of this project below some folders."""
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


@functools.cache
def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def sources(*folders):
    """Every Python file of this project below some folders, parsed."""
    return {file.relative_to(ROOT): parsed(file) for file in files_of(*folders)}


def imported(tree):
    """The dotted names that a module imports, at any depth; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_agents_know_nothing_of_judging_and_judging_nothing_of_agents():
    for folder, other in (("agents", "rl_eval"), ("rl_eval", "agents")):
        for path, tree in sources(folder).items():
            assert other not in {name.split(".")[0] for name in imported(tree)}, path


def test_agents_import_only_torch_numpy_and_gymnasium():
    allowed = {"agents", "torch", "numpy", "gymnasium", "annotated_types", "onnx", *sys.stdlib_module_names}
    for path, tree in sources("agents").items():
        more = {"redis"} if path == Path("agents/redis_server.py") else set()
        assert {name.split(".")[0] for name in imported(tree)} <= allowed | more, path


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
        allowed = {"joblib"} if path == Path("rl_eval/policy/_sklearn.py") else set()  # there, behind --trust
        assert not {name.split(".")[0] for name in names} & RUNS_CODE_FROM_FILES - allowed, path
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
    names = {path.stem.lstrip("_") for path in files_of("rl_eval", "agents", "tests", "benchmarks")}
    assert not names & vague


def heavy_after(code, *arguments):
    """Which heavy libraries a fresh interpreter holds after running some code."""
    tail = f"\nimport sys; print('HEAVY', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + tail, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
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
