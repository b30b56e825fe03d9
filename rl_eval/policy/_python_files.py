"""The files that decide how a `python:` policy acts, found without running any of them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from rl_eval.untrusted_files import only_regular

DECLARATION = "POLICY_FILES"
MAX_FILES = 1000
_INSTALLED = ("site-packages", "dist-packages")


def policy_files(module: str) -> dict[str, Path]:
    """The module's source, the sources below the same folder that it imports, and the files that it declares.

    A module declares files, such as weights, as `POLICY_FILES = ["weights.npz"]`, relative to its own folder. Imports
    of installed packages other than the module's own do not count, nor does what is imported by a computed name.

    Returns:
        Path relative to the folder of the top-level module or package -> the file; empty where the module has no
        source that the search path leads to.

    Raises:
        OSError: a file cannot be read, or there are more than 1,000.
    """
    spec = _find(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return {}
    # links are not followed: where the files of a package lie is up to who linked them
    source, package = Path(spec.origin).absolute(), module.partition(".")[0]
    root = source.parents[module.count(".") + (source.name == "__init__.py")]
    own_package_alone = any(part in _INSTALLED for part in root.parts) or root == Path(ast.__file__).resolve().parent
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for file, names in _sources(name):
            if not file.is_relative_to(root) or (own_package_alone and name.partition(".")[0] != package):
                continue
            if str(file.relative_to(root)) in files:
                continue
            files[str(file.relative_to(root))] = file
            if len(files) > MAX_FILES:
                raise OSError(f"{module} imports more than {MAX_FILES} files")
            waiting += names
    for declared in _declared(_tree(source)):
        file = source.parent / declared
        files[f"{DECLARATION} {declared}"] = file
    return files


def _find(module: str) -> ModuleSpec | None:
    """Where a module lies; unlike `importlib.util.find_spec` it imports no parent."""
    spec, parts = None, module.split(".")
    for depth in range(1, len(parts) + 1):
        locations = None if spec is None else spec.submodule_search_locations
        if (spec is not None and locations is None) or not parts[depth - 1]:
            return None
        try:
            spec = PathFinder.find_spec(".".join(parts[:depth]), locations)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
    return spec


def _sources(module: str) -> Iterator[tuple[Path, list[str]]]:
    """The source of a module and those of the packages that it lies in, each with the modules that it may import."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name.partition(".")[0] in sys.stdlib_module_names:
            return
        spec = _find(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        file = Path(spec.origin).absolute()
        is_package = spec.submodule_search_locations is not None
        yield file, _imports(_tree(file), name if is_package else name.rpartition(".")[0])


def _tree(file: Path) -> ast.Module:
    with open(file, "rb", opener=only_regular) as opened:
        content = opened.read()
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def _imports(tree: ast.Module, package: str) -> list[str]:
    """The modules that a source may import; of `from a import b`, both a and a.b."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name]


def _declared(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [DECLARATION]:
            try:
                return [str(value) for value in ast.literal_eval(node.value)]
            except (ValueError, TypeError):
                return []
    return []
