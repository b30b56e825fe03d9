"""The Dockerfile and the compose file: what they say of users, secrets, limits and commands."""

import re
from pathlib import Path

import pytest
import yaml

from rl_eval.cli import _production  # noqa: F401
from rl_eval.cli._app import app
from rl_eval.gates import load_suite
from rl_eval.production.config import load_config

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROOT = DEPLOY.parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("rl-eval")}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def commands():
    """The commands of `rl-eval production`."""
    import typer

    return set(typer.main.get_command(app).commands["production"].commands)


def test_every_command_of_the_deployment_exists():
    manifests = [
        document
        for file in (DEPLOY / "kubernetes").glob("*.yaml")
        for document in yaml.safe_load_all(file.read_text())
        if document.get("kind") == "Deployment"
    ]
    named = {d["spec"]["template"]["spec"]["containers"][0]["args"][0] for d in manifests}
    named |= {service["command"][0] for service in OURS.values()}
    named |= set(re.findall(r"run --rm .*?(\w+) /etc/", (DEPLOY / "compose.yaml").read_text()))
    assert named
    assert named <= commands()


def test_the_first_champion_of_compose_is_a_mounted_run():
    text = (DEPLOY / "compose.yaml").read_text()
    (source, mounted, service, config, run) = re.search(
        r'run --rm --volume "\$PWD/(\S+):(/\S+):ro" (\w+) register (\S+) (\S+)$', text, re.MULTILINE
    ).groups()
    assert run == mounted
    assert source.startswith("../outputs/")  # from the folder of the file, as its commands are
    assert f"./production.yaml:{config}:ro" in OURS[service]["volumes"]
    assert "data:/data" in OURS[service]["volumes"]  # the registry
    assert load_config(DEPLOY / "production.yaml").folder == "/data"


def test_the_image_runs_as_another_user_than_root():
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    (user,) = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert int(user.partition(":")[0]) > 0
    assert re.search(r"^(ADD|ARG|ENV) .*(PASSWORD|TOKEN|SECRET|KEY)", DOCKERFILE, re.MULTILINE) is None
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(re.search(r":\d", base) for base in bases)  # no `latest`


def test_the_image_copies_what_there_is_and_nothing_more():
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignore
    kept = [line[1:] for line in ignore if line.startswith("!")]
    assert [name for name in kept if not (ROOT / name).exists()] == []
    assert not {"outputs", "data", ".git", "models", "deploy"} & set(kept)
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for name in line.split()[:-1]:
            assert name == "." or name.split("/")[0] in kept


@pytest.mark.parametrize("file", ["production.yaml", "kubernetes/production.yaml", "examples/production.yaml"])
def test_the_config_has_bounds_of_rewards_and_a_suite_that_the_image_has(file):
    config = load_config(DEPLOY / file)
    assert "reward" in config.quality.model_fields_set
    assert [config.rollout.low, config.rollout.high] == config.quality.reward
    assert config.proof.suites
    kept = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    for suite in config.proof.suites:
        path = Path(suite)
        if path.is_absolute():  # in the image, whose WORKDIR is the checkout
            assert path.parts[:2] == ("/", "app")
            assert path.parts[2] in kept
            path = Path(*path.parts[2:])
        else:
            path = (DEPLOY / file).parent / path
        assert load_suite(ROOT / path).env.name == "threat"
    assert re.search(r"^WORKDIR /app$", DOCKERFILE, re.MULTILINE)


def test_the_extras_of_the_image_exist():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.MULTILINE)
    assert set(named.split(",")) <= extras.keys()


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_process_of_compose_runs_without_rights_and_within_limits(name):
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_stores_are_reached_from_inside_alone():
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert COMPOSE["services"][name]["networks"] == ["inside"]
        assert "ports" not in COMPOSE["services"][name]
        assert COMPOSE["services"][name]["healthcheck"]


def test_every_secret_is_asked_for_and_none_is_given():
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) == asked  # none has a default
    example = dict(line.split("=") for line in (DEPLOY / "secrets.env.example").read_text().splitlines() if "=" in line)
    assert example == dict.fromkeys(asked, "")
    assert "deploy/secrets.env" in (ROOT / ".gitignore").read_text().split()
