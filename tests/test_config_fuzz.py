"""Command lines of every kind of nonsense, up to the first step of training: a clean plan, or one sentence."""

import contextlib
import io
import random
import shutil
import signal
import sys
import traceback
from pathlib import Path

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from rl_eval import job
from rl_eval.command_line import read_overrides
from rl_eval.hydra_compose import keys_and_groups
from rl_eval.launch import launch

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
SECONDS = 60  # for one command line, on a busy machine; a hang takes longer
# Small data, so that a plan takes milliseconds.
SIZES = {
    "threat": ["env.train_flows=300", "env.validation_flows=100", "env.test_flows=100"],
    "qase": ["env.cycles=40"],
    "gym": ["env.id=CartPole-v1"],
    "cartpole": [],
}
GROUPS = {
    "agent": ["ppo", "a2c", "dqn"],
    "reward": ["native", "threat", "qase", "cartpole", "threat_imbalance"],
    "hardware": ["cpu", "auto", "gpu"],  # the others start processes of their own
    "tracker": ["none", "tensorboard", "wandb"],
    "tuned": ["none", "cartpole_ppo", "threat_dqn"],
    "experiment": ["none", "threat_report", "qase_report"],
}
NUMBERS = [
    "0", "1", "-1", "2", "1.5", "1e400", "-1e400", "nan", "inf", "1e-320", "9" * 30, "-0.0", "1_000", "007", "1e3",
]  # fmt: skip
WORDS = [
    "", "null", "None", "true", "False", "abc", "auto", "linear", "threat", "é日", "\u202e", "???", "~", "*", ".", "/",
]  # fmt: skip
QUOTED = ["'a b'", '"x"', "'unterminated", '"', "'it\\'s'", "'${seed}'", "\\", "a\\", "a=b", " a b ", "\t", "a:b", "#1"]
NESTED = [
    "[]", "[1,2]", "[null]", "[[[[]]]]", "[a,[b,{c:1}]]", "{}", "{a:1}", "{1:2}", "{a:{b:[1,null]}}", "[", "}", "{a",
]  # fmt: skip
REFERENCES = [
    "${seed}", "${nope}", "${lr}", "${env}", "${agent.network}", "${oc.env:HOME}", "${oc.env:NOPE}", "${", "$", "${.}",
]  # fmt: skip
SWEEPS = [
    "1,2", "a,b", "range(3)", "range(1,0)", "choice(1,2)", "glob(*)", "interval(0,1)", "shuffle(1,2)", "sort(2,1)",
]  # fmt: skip
CALLS = ["int(3.5)", "float(x)", "str(1)", "json_str({a:1})", "nope(1)", "extend_list(1)", "cast(1)"]
LARGE = [
    "x" * 6_000, "[" * 60 + "]" * 60, "[" + "1," * 200 + "1]", "{a:" * 40 + "1" + "}" * 40, "'" + "\\'" * 500 + "'",
]  # fmt: skip
VALUES = [NUMBERS, NUMBERS, WORDS, WORDS, QUOTED, NESTED, NESTED, REFERENCES, SWEEPS, CALLS, LARGE]
TERMS = [
    "reward.terms=3", "reward.terms={}", "+reward.terms.x=1", "+reward.terms.x={_target_: os.system}",
    "reward.range=[1]", "+reward.terms.x={_target_: rl_eval.rewards.Native, weight: nan}",
    "+reward.terms.x={_target_: [1]}", "+reward.terms.x={_target_: rl_eval.rewards.Native, nope: 1}",
    "+reward.range=[2,1]", "+reward.range={a: b}", "+reward.terms.x._target_=rl_eval",
    "+reward.terms.x._target_=nope.Nope", "~reward.terms", "+reward.x=1",
]  # fmt: skip
ODD = [
    "=", "seed", "+", "~", "~~seed", "seed=1=2", "@x=1", "agent@=ppo", "agent@agent=ppo", "agent/x=1", "a.b.c=1",
    "+a.b.c=1", "~nope", "~agent", "~env", "~seed", "~agent.lr", "~agent.network", "~validation", "~plugins",
    "~name=x", "-seed=1", "plugins=[nope.nope]", "plugins=[1]", "plugins=os", "plugins=['']", "plugins=null",
    "init=nowhere", "init=.", "init=''", "resume=", "resume=.", "resume=null", "++resume=nowhere", "resume=[a]",
    "hydra.run.dir=", "hydra.run.dir=a/b", "hydra=1", "hydra.run.dir=/dev/null/x", "hydra.run.dir=/proc/x",
    "hydra.run.dir={}", "hydra.sweep.dir=x", "hydra.run={dir: x}", "hydra.run.dir='" + "x" * 300 + "'",
    "hydra.searchpath=[nowhere]", "hydra.searchpath=3", "hydra.searchpath=[]", "hydra/launcher=nope",
    "hydra/launcher=basic", "hydra.launcher.n_jobs=x", "env.id=nope:Env-v0", "env.id=''", "env.id=1",
    "env.id=Pendulum-v1", "env.kwargs={a: 1}", "+env.kwargs.render_mode=human", "++env.name=nope", "agent.name=dqn",
    "++agent={}", "agent={network: {widths: [8]}}", "env={}", "seed={a: 1}", "validation=3", "validation=[1]",
    "hardware={}", "tracker={mode: offline}", "tracker.mode=offline", "tracker.name=[1]", "experiment=[none,none]",
    "tuned=[none]",
]  # fmt: skip
FLAGS = [
    ["-m"], ["--multirun"], ["--cfg=job"], ["--agent=ppo"], ["--seed", "1"], ["-x"], ["--config-dir=nowhere"],
    ["--run"], ["-m", "seed=1,2"], ["-m", "lr=1e-3,null", "name='a b','${env.name}'"],
    ["hydra.run.dir='a,b=${seed}'"], ["-m", "hydra.sweep.dir='x \\${seed}'", "agent.gamma=0.9,0.99"],
]  # fmt: skip
# What these hold is a size: as large as nobody has, or small, so that a run is short.
HUGE = ["1000000000", "9" * 30, "1e400", "[200000,200000]", "-1", "0"]
SIZE_KEYS = (
    "buffer_size", "n_envs", "n_steps", "widths", "group_width", "groups", "heads", "flows", "cycles", "shift",
    "episodes", "batch_size", "n_step", "alert_window", "warmup", "keep", "workers", "threads",
)  # fmt: skip
PLACES = ("hydra", "replay")


class Hang(BaseException):
    """One command line took too long."""


def command_lines(seed, count):
    """Command lines drawn from the keys that the groups have."""
    rng = random.Random(seed)
    keys = {
        (env, agent): keys_and_groups(CONF, read_overrides([f"env={env}", f"agent={agent}"]))
        for env in SIZES
        for agent in GROUPS["agent"]
    }
    for _ in range(count):
        env, agent = rng.choice(list(keys))
        line = [f"env={env}", f"agent={agent}", "total_steps=64", *SIZES[env]]
        if rng.random() < 0.3:
            group = rng.choice(list(GROUPS))
            line.append(f"{group}={rng.choice(GROUPS[group])}")
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            line.append(one_override(rng, keys[env, agent]))
        if rng.random() < 0.15:
            line += rng.choice(FLAGS)
        if rng.random() < 0.1:
            line += ["-m", f"{rng.choice(keys[env, agent])}={rng.choice(SWEEPS)}", "seed=1,2"]
        if rng.random() < 0.1:
            line.append(rng.choice(line))
        if rng.random() < 0.2:
            rng.shuffle(line)
        yield line


def one_override(rng, keys):
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(ODD)
    if kind < 0.2:
        return rng.choice(TERMS)
    key = rng.choice(keys)
    sized = key.endswith(SIZE_KEYS) or key.startswith(PLACES)
    value = rng.choice(rng.choice([WORDS, QUOTED, NESTED[3:], REFERENCES, HUGE] if sized else VALUES))
    if rng.random() < 0.25:
        value = rng.choice(["1", "2", "0.5", "true", "null"])
    if rng.random() < 0.1:
        key = (
            "".join(rng.sample(key, len(key)))
            if rng.random() < 0.3
            else f"{key}{rng.choice(['.x', 's', '@y', '.0', '/z'])}"
        )
    return f"{rng.choice(['', '', '', '', '', '+', '++', '~'])}{key}={value}"


def plan_alone():
    """Start no job."""


def train_briefly(suites):
    """What `train.py` does with a plan, but for 64 steps, in one process, without suites and report."""

    def main(composed):
        values = OmegaConf.to_container(composed, resolve=True)
        values["total_steps"] = 64
        values["validation"] = {**values.get("validation", {}), "episodes": 1}
        runtime = OmegaConf.to_container(HydraConfig.get().runtime, resolve=False)
        directory = Path(runtime["output_dir"])
        sweep = directory.parent if HydraConfig.get().mode == RunMode.MULTIRUN else None
        job.run(values, directory, sweep=sweep, suites=suites)

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(main)()


def problems_of(line, folder, run_jobs):
    """What is wrong with the answer to a command line; empty if nothing."""

    def too_long(number, frame):
        raise Hang

    err, before = io.StringIO(), sorted(folder.rglob("*"))
    earlier = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            status = launch(ROOT, line, run_jobs)
    except Hang:
        return [f"no answer after {SECONDS} s"]
    except SystemExit as error:
        status = error.code
    except BaseException as error:
        return ["".join(traceback.format_exception(error))]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
    left = [path for path in sorted(folder.rglob("*")) if path not in before]
    text = err.getvalue().strip()
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    problems = [text] if "Traceback" in text or max(map(len, errors), default=0) > 1_500 else []
    if status not in (0, 2) and not errors and run_jobs is not plan_alone:
        problems.append(f"status {status} without a sentence: {text}")
    if status == 2:
        if left:
            problems.append(f"left behind: {left}")
        if len(errors) != 1 or text.splitlines()[-1] != errors[0]:
            problems.append(f"not one sentence: {text}")
    for path in folder.iterdir():
        shutil.rmtree(path)
    return problems


def check(seed, count, folder, monkeypatch, run_jobs):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(job, "_report", lambda directory: None)
    answers = ((line, problems_of(line, folder, run_jobs)) for line in command_lines(seed, count))
    failures = [f"{line}\n{problems}" for line, problems in answers if problems]
    assert not failures, "\n".join(failures[:20])


def test_sixty_command_lines_are_a_plan_or_a_sentence(tmp_path, monkeypatch):
    check(1, 60, tmp_path, monkeypatch, plan_alone)


@pytest.mark.verify
def test_two_thousand_command_lines_are_a_run_or_a_sentence(tmp_path, tmp_path_factory, monkeypatch):
    no_suites = tmp_path_factory.mktemp("suites")
    check(2, 2_000, tmp_path, monkeypatch, lambda: train_briefly(no_suites))
