"""Check and measure training on a GPU, in less than five minutes: `python -m benchmarks.gpu`.

    python -m benchmarks.gpu [--device cuda] [--quick] [--json]

Every line is one check, `ok` or `FAILED` with the reason, or one measurement; the exit status is 1 where a check
failed. `--device cpu` runs all that needs no GPU, which shows that the script itself works. Only a temporary
folder is written.

Checked: the first update gives the losses of the CPU; two runs give the same bytes; a resumed agent goes on to the same
bytes; no gradient step of PPO or A2C waits for the GPU; `train.py hardware=gpu` ends, and its policy acts on the CPU;
with two GPUs or more, `hardware=ddp` gives the parameters of one GPU. Measured: env steps per second of PPO and DQN on
the device and on the CPU, by width of the network.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents import AGENTS
from agents.config import A2CConfig, DQNConfig, NetworkConfig, PPOConfig, QNetworkConfig
from benchmarks.interleave import as_json, machine
from benchmarks.noise_vector import NoiseVector
from benchmarks.our_training import ROOT

SECONDS = 6.0  # of a measurement
NETWORK = NetworkConfig(widths=[64, 64], norm="layer")  # goes through autograd on the CPU, too
CONFIGS: dict[str, Any] = {
    "ppo": PPOConfig(n_envs=16, n_steps=32, batch_size=128, n_epochs=2, normalize_obs=True, network=NETWORK),
    "a2c": A2CConfig(n_envs=16, network=NETWORK),
    "dqn": DQNConfig(n_envs=4, learning_starts=64, buffer_size=2_000),
}


def build(config: Any, device: str, seed: int = 1) -> Any:
    """A started agent."""
    generators = {name: np.random.default_rng([seed, i]) for i, name in enumerate(("init", "policy", "minibatch"))}
    envs = NoiseVector(config.n_envs)
    agent = AGENTS[config.name].build(config, envs, generators=generators, total_steps=10**9, device=device)
    agent.start(list(range(config.n_envs)))
    return agent


def parameters(agent: Any) -> np.ndarray:
    """The weights of an agent, in one array."""
    return np.concatenate([array.ravel() for array in agent.policy_checkpoint()[0].values()])


def first_losses_are_those_of_the_cpu(name: str, device: str) -> str:
    """The losses of the first iteration with updates, to float32's accuracy after several gradient steps."""
    rows = []
    for place in (device, "cpu"):
        agent = build(CONFIGS[name], place)
        row = agent.iterate()
        while not agent.gradient_steps:
            row = agent.iterate()
        rows.append({key: row[key] for key in ("policy_loss", "value_loss", "entropy") if key in row})
    for key, loss in rows[0].items():
        np.testing.assert_allclose(loss, rows[1][key], rtol=5e-3, atol=5e-4, err_msg=key)
    return ", ".join(f"{key} {loss:.5g}" for key, loss in rows[0].items())


def two_runs_give_the_same_bytes(name: str, device: str) -> str:
    """The parameters after a few iterations, twice."""
    first, second = (build(CONFIGS[name], device) for _ in range(2))
    for agent in (first, second):
        for _ in range(5):
            agent.iterate()
    np.testing.assert_array_equal(parameters(first), parameters(second))
    return f"{first.gradient_steps} gradient steps"


def a_resumed_agent_goes_on_to_the_same_bytes(name: str, device: str) -> str:
    """The state of an agent, taken over by a new one after the environments have been reset."""
    agent = build(CONFIGS[name], device)
    for _ in range(3):
        agent.iterate()
    seeds = list(range(100, 100 + CONFIGS[name].n_envs))
    agent.start(seeds, cut=True)
    arrays, meta = agent.state()
    copies, meta = {key: array.copy() for key, array in arrays.items()}, json.loads(json.dumps(meta))
    other = build(CONFIGS[name], device, seed=2)
    other.start(seeds)
    other.load_state(copies, meta)
    for _ in range(3):
        agent.iterate()
        other.iterate()
    np.testing.assert_array_equal(parameters(agent), parameters(other))
    return f"{len(arrays)} arrays"


@contextlib.contextmanager
def refusing_to_wait() -> Iterator[None]:
    """Inside, anything that makes the host wait for a GPU raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def no_gradient_step_waits(name: str, device: str) -> str:
    """The gradient steps of an update, with torch refusing to synchronise; without a GPU they only run."""
    agent = build(CONFIGS[name], device)
    agent.iterate()
    guarded = "gradient_step" if name == "ppo" else "apply_gradient"
    inner, steps = getattr(agent, guarded), 0

    def step(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        with refusing_to_wait() if device != "cpu" else contextlib.nullcontext():
            return inner(*arguments)

    setattr(agent, guarded, step)
    agent.iterate()
    return f"{steps} gradient steps"


def train_py_ends_and_its_policy_acts_on_the_cpu(device: str) -> str:
    """A short run of `train.py` on the device."""
    from rl_eval.run import read_checkpoint, read_run

    with tempfile.TemporaryDirectory() as folder:
        hardware = "cpu" if device == "cpu" else "gpu"
        _train(folder, f"hardware={hardware}", "total_steps=4096", "agent.n_steps=64")
        run = read_run(Path(folder) / "run")
        if run.info["hardware"]["device"] != device or run.info["status"] != "finished":
            raise AssertionError(f"run.json says {run.info['status']} on {run.info['hardware']['device']}")
        arrays, meta = read_checkpoint(run.judged_snapshot(), "policy")
        actions = AGENTS["ppo"].load_policy(arrays, meta).act(np.zeros((3, 4), np.float32), True)
    return f"actions {actions.tolist()}"


def ranks_give_the_parameters_of_one(device: str) -> str:
    """`hardware=ddp` on two ranks, and on one of the same device."""
    from rl_eval.run import read_checkpoint, read_run

    policies = []
    for ranks in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            own = ["hardware=ddp", f"hardware.device={device}", f"hardware.ranks={ranks}", "total_steps=2048"]
            _train(folder, *own, "agent.n_steps=64", "agent.network.norm=layer")
            policies.append(read_checkpoint(read_run(Path(folder) / "run").snapshots()[-1], "policy")[0])
    difference = max(float(np.abs(policies[0][key] - policies[1][key]).max()) for key in policies[0])
    if difference > 1e-5:
        raise AssertionError(f"they differ by {difference:.1e}")
    return f"largest difference {difference:.1e}"


def _train(folder: str, *overrides: str) -> None:
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "env=cartpole",
        "agent=ppo",
        "judge=off",
        "validation.episodes=2",
    ]
    done = subprocess.run(
        [*command, f"hydra.run.dir={folder}/run", *overrides], cwd=folder, capture_output=True, text=True, timeout=240
    )
    if done.returncode:
        raise AssertionError(f"train.py ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def steps_per_second(name: str, width: int, device: str, seconds: float) -> float:
    """Env steps per second of an agent with two hidden layers of a width, without the first iterations."""
    if name == "ppo":
        config: Any = PPOConfig(
            n_envs=64, n_steps=64, batch_size=4096, n_epochs=4, network=NetworkConfig(widths=[width] * 2)
        )
    else:
        config = DQNConfig(n_envs=16, batch_size=1024, buffer_size=20_000, network=QNetworkConfig(widths=[width] * 2))
        config = replace(config, updates_per_step=0.25, learning_starts=2_048)
    agent = build(config, device)
    while not agent.gradient_steps:
        agent.iterate()
    agent.iterate()
    before, started = agent.env_steps, time.perf_counter()
    while time.perf_counter() - started < seconds:
        agent.iterate()
    return (agent.env_steps - before) / (time.perf_counter() - started)


def checks(device: str) -> dict[str, Callable[[], str]]:
    """What each line checks."""
    each = (first_losses_are_those_of_the_cpu, two_runs_give_the_same_bytes, a_resumed_agent_goes_on_to_the_same_bytes)
    listed = {
        f"{name}: {check.__name__.replace('_', ' ')}": lambda check=check, name=name: check(name, device)
        for name in CONFIGS
        for check in each
    }
    for name in ("ppo", "a2c"):
        listed[f"{name}: no gradient step waits"] = lambda name=name: no_gradient_step_waits(name, device)
    listed["train.py ends and its policy acts on the cpu"] = lambda: train_py_ends_and_its_policy_acts_on_the_cpu(
        device
    )
    if device == "cpu" or torch.cuda.device_count() > 1:
        listed["two ranks give the parameters of one"] = lambda: ranks_give_the_parameters_of_one(device)
    return listed


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="one width, and a second for each measurement")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device: use --device cpu to try the script itself")
    torch.set_num_threads(1)
    named = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    print(f"{named}; {machine()}", file=sys.stderr)
    results: dict[str, Any] = {"device": named, "checks": {}, "steps per second": {}}
    for title, check in checks(args.device).items():
        started = time.perf_counter()
        try:
            line = f"ok      {check()}"
        except Exception as error:  # the other checks go on
            line = f"FAILED  {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        results["checks"][title] = line
        print(f"{line[:8]}{title} ({time.perf_counter() - started:.1f} s): {line[8:]}", file=sys.stderr, flush=True)
    for name in ("ppo", "dqn"):
        for width in (64,) if args.quick else (64, 256, 1024):
            for device in dict.fromkeys((args.device, "cpu")):
                rate = steps_per_second(name, width, device, 1.0 if args.quick else SECONDS)
                results["steps per second"][f"{name}, width {width}, {device}"] = rate
                print(f"{name}, width {width}, {device}: {rate:,.0f} env steps a second", file=sys.stderr, flush=True)
    if args.json:
        print(as_json("gpu", results))
    return int(any(line.startswith("FAILED") for line in results["checks"].values()))


if __name__ == "__main__":
    sys.exit(main())
