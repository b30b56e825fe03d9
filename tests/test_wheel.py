"""The built wheel in another repository, without our checkout: alone, with an extra, and with Stable-Baselines3."""

import importlib.metadata
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rl_eval import run
from rl_eval.cli import main
from tests import wheel_environments
from tests.wheel_environments import PROJECT, ROOT, gate, run_in, site_packages, wheel_of

MAX_BARE_BYTES = 450e6
# Each needs the extra of its name. They run where only the base dependencies are.
NEEDS_EXTRA = """\
import json
from pathlib import Path

from rl_eval import domains, policy, tracking
from rl_eval.compare.wandb_offline import read_offline
from rl_eval.domains.prompt.encoding import StaticEncoder
from rl_eval.domains.prompt.scoring.language_model import LanguageModel
from rl_eval.domains.qase.service import start
from rl_eval.errors import InputError
from rl_eval.foreign_logs.event_files import read_events

for name in ("model.zip", "policy.onnx", "run-abc.wandb"):
    Path(name).write_bytes(b":W&B")
Path("model.gguf").write_bytes(b"GGUF")
Path("flows.csv").write_text("a,label\\n1,0\\n2,1\\n")
Path("cycles.csv").write_text("Name;Verdict;Cycle\\na;0;1\\n")


def load(spec, env):
    config = domains.validate(env)
    vector = domains.make(config, n_envs=1, part="test")
    return policy.load(spec, policy.Spaces.of(config, vector), config, trust=True)


def make(**env):
    return domains.make(domains.validate(env), n_envs=1, part="train")


CASES = {
    "onnx": lambda: load("onnx:policy.onnx", {"name": "cartpole"}),
    "sb3": lambda: load("sb3:ppo:model.zip", {"name": "cartpole"}),
    "box2d": lambda: make(name="lunarlander"),
    "fast": lambda: make(name="gym", id="CartPole-v1", backend="envpool"),
    "llm": lambda: LanguageModel(Path("model.gguf")),
    "llm encoder": StaticEncoder,
    "threat": lambda: make(name="threat", data="csv", path="flows.csv", label="label"),
    "threat baseline": lambda: load("baseline:logistic_regression", {"name": "threat"}),
    "qase": lambda: make(name="qase", data="history", path="cycles.csv"),
    "qase baseline": lambda: load("baseline:logistic_regression", {"name": "qase"}),
    "qase service": start,
    "wandb": lambda: tracking.check_tracker(tracking.settings_model("wandb")()),
    "wandb file": lambda: read_offline(Path("run-abc.wandb"), {}),
    "mlflow": lambda: tracking.check_tracker(tracking.settings_model("mlflow")()),
    "tensorboard file": lambda: read_events(Path("logs"), [], {}),
    "tensorboard": lambda: tracking.check_tracker(tracking.settings_model("tensorboard")()),
}
sentences = dict.fromkeys(CASES, "")
for name, case in CASES.items():
    try:
        case()
    except InputError as error:
        sentences[name] = str(error)
print("SENTENCES", json.dumps(sentences))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    return wheel_of(wheel_environments.made_once(tmp_path_factory, "wheel", wheel_environments.build_wheel))


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The wheel with its base dependencies and nothing else."""
    wheel_environments.skip_without_index(tmp_path_factory)
    return wheel_environments.made_once(
        tmp_path_factory, "bare", lambda folder: wheel_environments.create(folder, wheel)
    )


@pytest.fixture(scope="module")
def with_onnx(wheel, bare, tmp_path_factory):
    """The bare environment, and the extra `onnx`."""

    def make(folder):
        wheel_environments.create(folder, f"{wheel}[onnx]", more_packages=site_packages(bare))

    return wheel_environments.made_once(tmp_path_factory, "with_onnx", make)


@pytest.fixture(scope="module")
def with_our_packages(wheel, tmp_path_factory):
    """The wheel, and the packages that these tests run with."""

    def make(folder):
        wheel_environments.create(folder, wheel, "--no-deps", "--no-index", more_packages=Path(np.__file__).parents[1])

    return wheel_environments.made_once(tmp_path_factory, "with_our_packages", make)


@pytest.fixture
def repository(tmp_path):
    return wheel_environments.repository(tmp_path)


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A run of ours whose network is worked by hand: push to the side on which the pole falls."""
    from agents import policy as networks
    from agents.config import NetworkConfig
    from rl_eval.domains import cartpole

    envs = cartpole.DOMAIN.make(cartpole.Config(), n_envs=1, part="test")
    config = NetworkConfig(widths=[])
    meta = networks.metadata(envs.single_observation_space, envs.single_action_space, config, 10.0)
    side = np.array([0.1, 0.5, 1.5, 1.0], np.float32)
    arrays = {
        "network.actor_head.weight": np.stack([-side, side]),
        "network.actor_head.bias": np.zeros(2, np.float32),
        "network.critic_head.weight": np.zeros((1, 4), np.float32),
        "network.critic_head.bias": np.zeros(1, np.float32),
    }
    directory = tmp_path_factory.mktemp("own") / "ours"
    run.write_checkpoint(
        directory / "snapshots" / "step_10", "policy", arrays, {**meta, "agent": "ppo", "env": "cartpole"}
    )
    run.write_json(directory / "run.json", {"status": "finished", "snapshot": "step_10"})
    run.write_text(directory / "config.yaml", "env: {name: cartpole, id: CartPole-v1}\n")
    return directory


@pytest.fixture(scope="module")
def exported(own_run):
    """The policy of that run as an ONNX file."""
    pytest.importorskip("onnx")
    file = own_run.parent / "policy.onnx"
    assert main(["export", str(own_run), "--onnx", str(file)]) == 0
    return f"onnx:{file}"


@pytest.fixture(scope="module")
def sb3_model(tmp_path_factory):
    """A PPO of Stable-Baselines3, trained for a second or as long as it takes to balance."""
    pytest.importorskip("stable_baselines3")
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    envs = make_vec_env("CartPole-v1", 8, seed=1)
    quick = {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8, "learning_rate": 3e-3}
    model = PPO("MlpPolicy", envs, **quick, policy_kwargs={"net_arch": [32]}, seed=1, device="cpu")
    for _ in range(20):
        model.learn(8192, reset_num_timesteps=False)
        if evaluate_policy(model, envs, n_eval_episodes=16)[0] > 400:
            break
    file = tmp_path_factory.mktemp("sb3") / "model.zip"
    model.save(file)
    return f"sb3:ppo:{file}"


def test_the_wheel_claims_no_name_but_its_own(wheel):
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"rl_eval"}


def test_the_wheel_holds_the_cases_of_the_embedded_service(wheel):
    assert "rl_eval/domains/qase/service/cases.json" in zipfile.ZipFile(wheel).namelist()


# -- alone -------------------------------------------------------------------------------------------------------------


def test_alone_it_is_small_and_brings_no_package_of_an_extra(bare):
    folder = site_packages(bare)
    installed = {d.name.lower().replace("_", "-") for d in importlib.metadata.distributions(path=[str(folder)])}
    extras = {re.match(r"[\w.-]+", t)[0] for texts in PROJECT["optional-dependencies"].values() for t in texts}
    base = {re.match(r"[\w.-]+", text)[0] for text in PROJECT["dependencies"]}
    brought = {"annotated-types", "cloudpickle"}  # by pydantic and gymnasium
    optional = extras - base - brought - {"rl_eval"}
    assert installed >= base
    assert installed & optional == set()
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < MAX_BARE_BYTES


def test_alone_its_command_answers_and_our_networks_are_not_there(bare, repository):
    code = "import importlib.util as i, rl_eval; print(rl_eval.__file__); print(i.find_spec('agents'))"
    status, output = run_in(bare, repository, "python", "-c", code)
    place, agents = output.split("\n")[:2]
    assert status == 0
    assert Path(place).is_relative_to(bare)
    assert agents == "None"
    assert run_in(bare, repository, "rl-eval", "--version")[1].startswith("rl-eval ")
    status, output = run_in(bare, repository, "rl-eval", "--help")
    assert status == 0
    assert "Warning" not in output


def test_alone_it_reads_the_report_of_a_run(bare, repository, own_run):
    status, output = run_in(bare, repository, "rl-eval", "report", own_run, "--out", "page.html")
    assert (status, output.strip()) == (0, "page.html")
    page = (repository / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "whose networks are only in a checkout" in page


def test_alone_it_gates_a_function(bare, repository):
    status, output = gate(bare, repository, "--rl-run", "python:balancer:act", "--rl-trust")
    assert status == 0
    assert re.search(r"balances +mean_return .* PASS", output)
    assert re.search(r"PASS controls: ", output)


def test_alone_it_gates_a_random_policy(bare, repository):
    status, output = gate(bare, repository, "--rl-run", "random", "--rl-run", "constant:1")
    assert status == 1
    assert re.search(r"balances +mean_return .* FAIL", output)


def test_without_an_extra_what_needs_it_is_one_sentence_that_names_it(bare, repository):
    (repository / "cases.py").write_text(NEEDS_EXTRA)
    status, output = run_in(bare, repository, "python", "cases.py")
    assert status == 0
    sentences = json.loads(output.rpartition("SENTENCES")[2])
    assert {name: text for name, text in sentences.items() if f"'rl_eval[{name.split()[0]}]'" not in text} == {}


def test_without_the_extra_train_training_is_one_sentence_that_names_it(bare, repository):
    status, output = run_in(bare, repository, "python", ROOT / "train.py", "env=cartpole")
    assert status == 2
    assert re.fullmatch(r"error: train\.py needs \w+, .*: pip install 'rl_eval\[train\]'\n", output)
    assert not (repository / "outputs").exists()


def test_what_a_policy_alone_cannot_show_is_an_error_that_says_so(bare, repository):
    suite = repository / "suites" / "pole.yaml"
    suite.write_text(suite.read_text() + "  quick: {metric: training.wall_s, at_most: 60}\n")
    status, output = gate(bare, repository, "--rl-run", "python:balancer:act", "--rl-trust")
    assert status == 1
    assert "training.wall_s is read from a training run, but python:balancer:act is a policy without one" in output
    (repository / "model.zip").touch()
    status, output = gate(bare, repository, "--rl-run", "sb3:ppo:model.zip")
    assert status == 1
    assert "if you trust where it comes from" in output
    status, output = gate(bare, repository)
    assert status == 1
    assert "no finished run in outputs" in output


# -- with more ---------------------------------------------------------------------------------------------------------


def test_with_onnx_it_gates_an_exported_policy(with_onnx, repository, exported):
    status, output = gate(with_onnx, repository, "--rl-run", exported)
    assert status == 0
    assert re.search(r"balances +mean_return .* PASS", output)
    assert re.search(r"PASS controls: ", output)


def test_a_policy_that_is_not_good_enough_fails_under_the_same_suite(with_onnx, repository, exported):
    status, output = gate(with_onnx, repository, "--rl-run", exported, "--rl-run", "random")
    assert status == 1
    assert re.search(r"mean_return .* failed after .*\(the worst of 2 runs, random\)", output)
    assert re.search(r"balances +mean_return .* FAIL", output)


@pytest.mark.verify
def test_with_stable_baselines3_it_gates_a_model(with_our_packages, repository, sb3_model):
    status, output = gate(with_our_packages, repository, "--rl-run", sb3_model, "--rl-trust")
    assert status == 0
    assert re.search(r"balances +mean_return .* PASS", output)
