"""The files that decide how a `python:` policy acts, found without running any of them."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.untrusted_files import only_regular

DECLARATION = "POLICY_FILES"
MAX_FILES = 1000
_INSTALLED = ("site-packages", "dist-packages")


def policy_files(module: str) -> dict[str, Path]:
    """The module's source, the sources below the same folder that it imports, and the files that it declares.

    Each of these sources may declare files, such as weights, as `POLICY_FILES = ["weights.npz"]`, relative to its own
    folder. Imports of installed packages other than the module's own do not count, no matter where they are installed,
    nor does what is imported by a computed name.

    Returns:
        Path relative to the folder of the top-level module or package -> the file; empty if the module has no
        source that the search path leads to.

    Raises:
        OSError: a file cannot be read, or there are more than 1,000.
        InputError: a declaration cannot be read, or a file of it does not exist.
    """
    source, package = _source(module), module.partition(".")[0]
    if source is None:
        return {}
    root = source.parents[module.count(".") + (source.name == "__init__.py")]
    own_package_alone = any(part in _INSTALLED for part in root.parts) or root == Path(ast.__file__).resolve().parent
    files: dict[str, Path] = {}
    waiting, seen = [module], {module}
    while waiting:
        name = waiting.pop()
        if own_package_alone and name.partition(".")[0] != package:
            continue
        for file, imported_from in _sources(name):
            place = file.relative_to(root) if _is_own(file, root) else None
            if place is None or str(place) in files:
                continue
            tree = _tree(file)
            files[str(place)] = file
            files |= {
                f"{DECLARATION} {place.parent / text}": path for text, path in _declared_files(tree, file).items()
            }
            if len(files) > MAX_FILES:
                raise OSError(f"{module} imports more than {MAX_FILES} files")
            names = dict.fromkeys(_imports(tree, imported_from))
            waiting += [name for name in names if name not in seen]
            seen.update(names)
    return files


def _is_own(file: Path, root: Path) -> bool:
    """Whether a file below a folder is a person's own, and not of a virtual environment or of packages in it."""
    if not file.is_relative_to(root):
        return False
    folders = file.relative_to(root).parts[:-1]
    if any(folder in _INSTALLED or folder.startswith(".") for folder in folders):
        return False
    inner = [root.joinpath(*folders[: depth + 1]) for depth in range(len(folders))]
    prefixes = {Path(prefix).absolute() for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix)}
    return not any(folder in prefixes or (folder / "pyvenv.cfg").exists() for folder in inner)


def _declared_files(tree: ast.Module, source: Path) -> dict[str, Path]:
    """The files that a source declares as `POLICY_FILES`: the text there -> the file.

    Raises:
        InputError: the declaration cannot be read, or a file of it does not exist.
    """
    files = {name: source.parent / name for name in _declared(tree, source)}
    for name, file in files.items():
        if not file.is_file():
            raise InputError(f"{source} declares {name!r} in {DECLARATION}, but {file} is not a file: correct the list")
    return files


def _source(module: str) -> Path | None:
    """The source of a module, None if there is none."""
    *_, last = _places(module)
    return None if last is None else last.source


@dataclass(frozen=True)
class _Place:
    """Where a module is.

    Attributes:
        source: None if it has none, as a package without `__init__.py`.
        folders: where its submodules are; None if it is no package.
    """

    source: Path | None
    folders: list[str] | None


def _places(module: str) -> list[_Place | None]:
    """Where the packages of a module are, and the module; None for each that does not exist.

    Unlike `importlib.util.find_spec` it imports no parent.
    """
    places: list[_Place | None] = []
    folders: list[str] | None = None
    for depth, part in enumerate(module.split(".")):
        place = _find(part, folders) if part and (not depth or folders) else None
        places.append(place)
        folders = None if place is None else place.folders
    return places


def _find(name: str, folders: list[str] | None) -> _Place | None:
    """A module by the last part of its name, in the folders of its package; None: on the search path."""
    try:
        # with the whole name, Python would look for the package in `sys.modules`
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return None
        inner = spec.submodule_search_locations
        # links are not followed: the person who linked the files of a package decides where they are
        source = Path(spec.origin).absolute() if spec.origin and spec.origin.endswith(".py") else None
        return _Place(source, None if inner is None else list(inner))
    except Exception:  # finders of other packages raise anything
        return None


def _sources(module: str) -> Iterator[tuple[Path, str]]:
    """The source of a module and those of the packages that it is in; each with the package its imports start from."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names:
        return
    for depth, place in enumerate(_places(module), 1):
        if place is not None and place.source is not None:
            yield place.source, ".".join(parts[: depth if place.folders is not None else depth - 1])


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


def _declared(tree: ast.Module, source: Path) -> list[str]:
    """The texts that a module declares, read and not run.

    Raises:
        InputError: the declaration is not one list of texts, or is bound or changed in any other way.
    """
    values = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and _is_plain(node)]
    changes = sum(_changes_declaration(node) for node in ast.walk(tree))
    if not changes:
        return []
    declared: object = None
    if len(values) == changes == 1 and values[0] is not None:
        with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            declared = ast.literal_eval(values[0])
    if not isinstance(declared, list | tuple) or not all(isinstance(name, str) for name in declared):
        raise InputError(
            f"{source} declares {DECLARATION} in a form that cannot be read without running it: write it once, as "
            f'`{DECLARATION} = ["weights.npz"]`, a list of strings'
        )
    return list(declared)


def _is_plain(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == DECLARATION


def _changes_declaration(node: ast.AST) -> bool:
    """Whether a node binds the name, or may change the list behind it."""
    if isinstance(node, ast.Name):
        return node.id == DECLARATION and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == DECLARATION
    if isinstance(node, ast.Attribute):
        return _is_declaration(node.value) and node.attr in ("append", "extend", "insert", "remove", "pop", "clear")
    return isinstance(node, ast.Subscript) and _is_declaration(node.value) and not isinstance(node.ctx, ast.Load)


def _is_declaration(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == DECLARATION
