"""The TypeScript client: its types are those of the server, it compiles, and its own tests pass."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clients.typescript import generate
from tests.serving.served_runs import AGENTS, write_run

FOLDER = Path(generate.__file__).parent
OLDEST_NODE = 20


@pytest.fixture(scope="module")
def schema():
    return generate.server_schema()


@pytest.fixture(scope="module")
def committed():
    return generate.SCHEMA_FILE.read_text()


def test_the_committed_types_are_those_of_the_server(schema, committed):
    reason = generate.difference(committed, schema)
    assert reason is None, f"{generate.SCHEMA_FILE}: {reason}; run `python {FOLDER / 'generate.py'}`"


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["components"]["schemas"]["HealthAnswer"]["properties"].pop("policy"),
        lambda schema: schema["components"]["schemas"]["StoreExperienceBody"]["required"].append("unit"),
        lambda schema: schema["components"]["schemas"]["StatsAnswer"]["properties"]["updates"].update(type="string"),
        lambda schema: schema["components"]["schemas"]["NameBody"]["properties"].update(title={"type": "string"}),
        lambda schema: schema["paths"]["/update"].update(put=schema["paths"]["/update"].pop("post")),
    ],
    ids=["key removed", "key required", "other type", "key named title", "other method"],
)
def test_a_changed_server_schema_is_noticed(schema, committed, change):
    changed = copy.deepcopy(schema)
    change(changed)
    assert generate.difference(committed, changed) == "the server's schema has changed"


def test_docs_bounds_and_other_routes_of_the_server_change_no_types(schema, committed):
    changed = copy.deepcopy(schema)
    changed["components"]["schemas"]["NameBody"]["description"] = "Another text."
    changed["components"]["schemas"]["NameBody"]["properties"]["name"]["pattern"] = "^.*$"
    changed["components"]["schemas"]["Unused"] = {"type": "object"}
    changed["paths"]["/v3"] = {"get": {}}
    assert generate.difference(committed, changed) is None


def test_types_that_were_edited_are_noticed(schema, committed):
    assert generate.difference(committed.replace("policy_version", "version"), schema) is not None
    assert generate.difference("export interface paths {}", schema) is not None


def test_the_client_depends_on_nothing_and_pins_its_tools():
    package = json.loads((FOLDER / "package.json").read_text())
    assert not {"dependencies", "optionalDependencies", "peerDependencies"} & package.keys()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["devDependencies"].values())


def test_the_client_compiles_and_passes_its_own_tests(tmp_path):
    npm = shutil.which("npm")
    node = shutil.which("node")
    if npm is None or node is None or node_version(node) < OLDEST_NODE:
        pytest.skip(f"the client's tests need Node.js {OLDEST_NODE} or newer, with npm")
    if not (FOLDER / "node_modules" / ".bin" / "tsc").exists():
        install(npm)
    write_run(tmp_path / "run", AGENTS["ppo"])
    environment = {**os.environ, "PYTHON": sys.executable, "RL_EVAL_TEST_RUN": str(tmp_path / "run")}
    command = [npm, "test", "--silent"]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"


def node_version(node):
    done = subprocess.run([node, "--version"], capture_output=True, text=True)
    return int(done.stdout.strip().removeprefix("v").partition(".")[0])


def install(npm):
    """The compiler, from the registry that npm is set to; skips where that does not answer."""
    options = [
        "--fetch-timeout=20000",
        "--fetch-retry-mintimeout=1000",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
    ]
    try:
        done = subprocess.run([npm, "install", *options], cwd=FOLDER, capture_output=True, text=True, timeout=120)
        failed = done.returncode != 0
    except subprocess.TimeoutExpired:
        failed = True
    if failed:
        pytest.skip("the client's tests need TypeScript, and npm cannot install it")
