"""`needs` of a suite: extras whose packages and programs must be there, and data that the suite does not name."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rl_eval.domains import domains
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from rl_eval.gates.suite import Suite

DATA = "data"
# Extra -> the modules that tell whether it is installed. Those of domains are with the domains.
EXTRAS = {
    "box2d": ("Box2D",),
    "browser": ("coverage", "fastapi", "playwright", "uvicorn"),
    "llm": ("xllamacpp",),
    "onnx": ("onnx", "onnxruntime"),
    "redis": ("redis",),
    "sb3": ("stable_baselines3",),
    "serve": ("fastapi", "uvicorn"),
    "train": ("torch", "hydra"),
}
# Extra -> the names of a program that it needs in addition to its packages, and the command that installs one.
PROGRAMS = {
    "browser": (
        ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome"),
        "apt-get install chromium",
    ),
}


def known_needs() -> tuple[str, ...]:
    """What a suite can need."""
    return (DATA, *_extras())


def _extras() -> dict[str, tuple[str, ...]]:
    return {**EXTRAS, **{domain.name: domain.extra_modules for domain in domains() if domain.extra_modules}}


def missing_extras(needs: Iterable[str]) -> list[str]:
    """Each extra among the needs that is not installed, with what is missing and the command."""
    extras, needs = _extras(), list(needs)
    missing = {
        need: [module for module in extras.get(need, ()) if importlib.util.find_spec(module) is None] for need in needs
    }
    programs = [
        f"{need} ({names[0]} is not on the PATH): {command}"
        for need, (names, command) in PROGRAMS.items()
        if need in needs and not any(map(shutil.which, names))
    ]
    return [
        f"{need} ({', '.join(modules)} not installed): pip install 'rl_eval[{need}]'"
        for need, modules in missing.items()
        if modules
    ] + programs


def require_needs(suite: Suite) -> None:
    """Check that the extras that a suite needs are installed.

    Raises:
        InputError: one is not; the sentence has the command that installs it.
    """
    if missing := missing_extras(suite.spec.needs):
        raise InputError(f"{suite.label} needs {'; '.join(missing)}")
