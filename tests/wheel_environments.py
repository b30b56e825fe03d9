"""Virtual environments with the built wheel: with what it declares and nothing else, or with other packages too."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
PINNED = ROOT / "constraints.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUITE = """\
# What the pole balancer must do before it is deployed.
rl_eval: 1
env: {id: CartPole-v1}
episodes: {max: 200, return_bounds: [0, 500]}
criteria:
  balances: {metric: mean_return, at_least: 250}
"""
# Push to the side on which the pole falls.
BALANCER = """\
import numpy as np


def act(observations):
    return (observations @ np.array([0.1, 0.5, 1.5, 1.0], np.float32) > 0).astype(int)
"""


def made_once(tmp_path_factory, name, make):
    """The folder `name`, which `make(folder)` fills; the workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / name
    with FileLock(f"{folder}.lock"):
        if not (base / f"{name}.made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (base / f"{name}.made").touch()
    return folder


def pip(*arguments, timeout=300):
    """Run pip; its output is shown where it fails."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout


def skip_without_index(tmp_path_factory):
    """Skip the test where no package can be downloaded."""
    folder = made_once(tmp_path_factory, "index", probe_index)
    if not any(folder.glob("*.whl")):
        pytest.skip("the package index cannot be reached")


def probe_index(folder):
    options = ["--quiet", "--no-deps", "--no-cache-dir", "--retries", "0", "--timeout", "10", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, "iniconfig"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)


def build_wheel(folder):
    """Build the wheel of this checkout."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)


def wheel_of(folder):
    (wheel,) = folder.glob("*.whl")
    return wheel


def create(folder, *requirements, constraints=PINNED, more_packages=None, timeout=300):
    """Make an environment and install into it, with all that the requirements need.

    Args:
        constraints: a file of pins.
        more_packages: a folder of installed packages, which the environment has as well.
    """
    venv.create(folder, symlinks=True)
    if more_packages is not None:
        # a path in a .pth file is added as it is: .pth files there, such as that of an editable install, are not read
        (site_packages(folder) / "more.pth").write_text(f"{more_packages}\n")
    install = ["--python", folder / "bin" / "python", "install", "--no-compile", "--constraint", constraints]
    pip(*install, *requirements, timeout=timeout)


def site_packages(environment):
    (folder,) = environment.glob("lib/python*/site-packages")
    return folder


def lowest_versions(*extras):
    """Lines of a constraints file: the lowest version that is declared, of each base dependency and of some extras."""
    requirements = [*PROJECT["dependencies"], *(t for e in extras for t in PROJECT["optional-dependencies"][e])]
    lowest = {}
    for text in requirements:
        if text.startswith("rl_eval["):  # extras of an extra, whose packages have lines of their own
            continue
        name, version = re.match(r"([\w.-]+)(?:\[.*\])?>=([\d.]+)", text).groups()
        numbers = tuple(map(int, version.split(".")))
        lowest[name] = max(lowest.get(name, ()), numbers)
    return [f"{name}=={'.'.join(map(str, numbers))}" for name, numbers in lowest.items()]


def repository(folder):
    """Make a repository of somebody else's: a suite, and a policy as a Python function."""
    (folder / "suites").mkdir()
    (folder / "suites" / "pole.yaml").write_text(SUITE)
    (folder / "balancer.py").write_text(BALANCER)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def run_in(environment, folder, *command, timeout=100):
    """Run a command of the environment in a folder; its status and what it printed."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "COV_"))}
    done = subprocess.run(
        [environment / "bin" / command[0], *map(str, command[1:])],
        cwd=folder,
        env={**variables, "COLUMNS": "120", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def gate(environment, folder, *arguments):
    """Judge by the suites of a repository."""
    status, output = run_in(environment, folder, "python", "-m", "pytest", "suites/", *arguments)
    print(output)
    return status, output
