"""`python train.py` as a command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval import __version__
from rl_eval import run as run_directory
from rl_eval.launch import launch
from tests.training.learn import learn

ROOT = Path(__file__).resolve().parents[1]
NSL_KDD = ROOT.parent / "shared/data/nsl-kdd"
SHORT = ["env=cartpole", "total_steps=4096", "validation.every=4096", "validation.episodes=3", "agent.n_epochs=1"]


def train(folder, *arguments, **environment):
    """Run train.py with `folder` as the working directory; returns the finished process."""
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def only_run(folder):
    """The one run directory below a working directory."""
    (record,) = folder.glob("outputs/*/*/run.json")
    return record.parent


def info(run):
    return json.loads((run / "run.json").read_text())


def without_times(run):
    """`metrics.csv` but for its times."""
    lines = (run / "metrics.csv").read_text().splitlines()
    times = {i for i, name in enumerate(lines[0].split(",")) if name == "wall_s"}
    return [[cell for i, cell in enumerate(line.split(",")) if i not in times] for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short finished run, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    done = train(folder, *SHORT, "checkpoint_every=2048", "seed=5")
    assert done.returncode == 0, done.stderr
    return only_run(folder), done


def test_the_run_directory_is_complete(finished):
    run, done = finished
    assert run.name.endswith("_cartpole_ppo_s5")
    facts = info(run)
    assert facts["schema"] == 1
    assert facts["status"] == "finished"
    assert facts["env_steps"] == 4096
    assert facts["env_steps"] == facts["steps_finished"] + facts["steps_in_flight"] + facts["steps_cut"]
    assert {"mean", "std", "min", "max", "mean_length"} <= facts["results"].keys()
    assert facts["versions"]["torch"]
    assert len(facts["config_hash"]) == 64
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["seed"] == 5
    assert config["agent"]["lr"] == 1e-3  # resolved: the tuned value for this environment
    assert {p.name for p in (run / "snapshots").iterdir()} == {"step_2048", "step_4096"}
    (suite,) = json.loads((run / "verdict.json").read_text())["suites"]
    assert suite["suite"] == "cartpole"
    assert "cartpole" in done.stdout
    assert "env steps" in done.stderr
    assert "report.html" in done.stdout
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    everything = {p.suffix for p in run.rglob("*") if p.is_file()}
    assert everything <= {".json", ".yaml", ".csv", ".safetensors", ".sha256", ".npz", ".lock", ".html"}


def test_same_seed_twice_is_the_same_run(finished, tmp_path):
    run, _ = finished
    assert train(tmp_path, *SHORT, "checkpoint_every=2048", "seed=5").returncode == 0
    again = only_run(tmp_path)
    assert without_times(again) == without_times(run)
    for name in ("step_2048", "step_4096"):
        file = Path("snapshots") / name / "policy.safetensors"
        assert (again / file).read_bytes() == (run / file).read_bytes()


def test_a_sweep_as_typed_ends_with_a_comparison(tmp_path):
    done = train(tmp_path, "agent=ppo", *SHORT, "-m", "lr=3e-4,1e-3")
    assert done.returncode == 0, done.stderr
    (sweep,) = tmp_path.glob("outputs/*/*_sweep")
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [job["directory"] for job in jobs] == ["0_lr=0.0003", "1_lr=0.001"]
    configs = [yaml.safe_load((sweep / job["directory"] / "config.yaml").read_text()) for job in jobs]
    assert [config["agent"]["lr"] for config in configs] == [3e-4, 1e-3]
    table = done.stdout[done.stdout.rindex("status") :]
    assert "0_lr=0.0003" in table
    assert "1_lr=0.001" in table
    assert "* the best on validation (mean_return)" in table
    best = max(range(2), key=lambda job: info(sweep / jobs[job]["directory"])["results"]["mean_return"])
    command = (
        f"`pytest {ROOT / 'suites' / 'cartpole.yaml'} --rl-run {sweep.relative_to(tmp_path)}/{jobs[best]['directory']}`"
    )
    assert command in table
    verdicts = [json.loads((sweep / job["directory"] / "verdict.json").read_text())["suites"] for job in jobs]
    assert {suite["part"] for suites in verdicts for suite in suites} == {"validation"}
    assert not (tmp_path / "outputs" / "ledger.jsonl").exists()


def test_a_sweep_in_parallel(tmp_path):
    done = train(tmp_path, *SHORT, "hardware=parallel", "-m", "seed=1,2")
    assert done.returncode == 0, done.stderr
    (sweep,) = tmp_path.glob("outputs/*/*_sweep")
    assert [info(sweep / name)["status"] for name in ("0_seed=1", "1_seed=2")] == ["finished"] * 2


CSV = "a,b,label\n" + "".join(f"{i % 7},{i * 37 % 11},{i % 3 == 0:d}\n" for i in range(200))

BAD = {
    "unknown agent": (["agent=poo"], r"agent=poo .*did you mean 'ppo'\? .*a2c, dqn, ppo"),
    "unknown reward": (["reward=nope"], r"reward=nope is not an option.*threat"),
    "unknown environment": (["env=lunar"], r"env=lunar .*lunarlander"),
    "unknown tuning": (["tuned=nope"], r"tuned=nope is not an option"),
    "a group that must be there": (["hardware=null"], r"hardware=null is not an option: hardware takes auto, cpu"),
    "misspelt key": (["agent.clip_rnge=.1"], r"agent\.clip_rnge is not a key: did you mean 'agent\.clip_range'"),
    "misspelt top-level key": (["sead=1"], r"sead is not a key: did you mean 'seed'"),
    "misspelt key of the chosen agent": (["agent=dqn", "agent.gae_lambda=.9"], r"is not a key: (?!.*gae_lambda)"),
    "misspelt key of the chosen environment": (["env=qase", "env.base_ur=x"], r"did you mean 'env\.base_url'"),
    "another word for a key": (["agent.learning_rate=1e-3"], r"did you mean 'agent\.lr'"),
    "another word for an option": (["hardware=cuda"], r"did you mean 'gpu'"),
    "the former name of a section": (["select.every=100"], r"did you mean 'validation\.every'"),
    "an addition to what is there": (["+seed=1"], r"seed has a value already: remove the \+"),
    "a flag of one letter": (["-x", "seed=1"], r"^error: -x is not a flag"),
    "resume in a sweep": (["-m", "resume=a,b"], r"resume=a,b takes no other override"),
    "resume in passing": (["++resume=nowhere"], r"resume=nowhere must be given"),
    "the former name of a section, added": (["+select.every=100"], r"did you mean 'validation'"),
    "a former name with a part": (["env.select_share=.1"], r"did you mean 'env\.validation_share'"),
    "a former name with another part": (["env=threat", "env.gate_flows=9"], r"did you mean 'env\.test_flows'"),
    "a package without a key": (["@x=3"], r"'@x=3' is not an override"),
    "an option that interpolates": (["env=${agent}"], r"env=\$\{agent\} is not an option"),
    "an option that is a path": (["reward=../env/threat"], r"reward=\.\./env/threat is not an option"),
    "an option that is an absolute path": (["reward=/etc/passwd"], r"reward=/etc/passwd is not an option"),
    "an option of great length": (["reward=" + "x" * 3_000], r"reward=x+ .* is not an option"),
    "two environments": (["env=[threat,cartpole]"], r"names 2 options: name one"),
    "no key": (["=3"], r"'=3' is not an override"),
    "no value": (["seed"], r"'seed' is not an override"),
    "another config": (["--config-name=foo"], r"--config-name is not a flag"),
    "another folder of configs": (["-cp", "foo"], r"--config-path is not a flag"),
    "resolve without cfg": (["--resolve"], r"--cfg=job"),
    "a sweep without jobs": (["-m", "seed=range(0,0)"], r"no jobs"),
    "a pattern in a sweep": (["-m", "agent=glob(*)"], r"glob\(\*\) is not possible"),
    "a sweep by its mode": (["hydra.mode=MULTIRUN"], r"add -m"),
    "no directory": (["env=cartpole", "hydra.run.dir="], r"not the name of a new folder"),
    "key of no agent": (["+agent.wings=2"], r"agent\.wings is not a key of agent"),
    "negative learning rate": (["lr=-1"], r"lr=-1 .*greater than 0"),
    "learning rate of letters": (["lr=abc"], r"lr='abc' .*number"),
    "learning rate NaN": (["lr=nan"], r"lr=nan .*(finite|greater than 0)"),
    "batch above the rollout": (["agent.batch_size=10000000"], r"batch_size=10000000 is larger than"),
    "DQN on continuous actions": (
        ["agent=dqn", "env=lunarlander", "+env.kwargs.continuous=true"],
        r"takes Box\(.*use agent=ppo or agent=a2c",
    ),
    "a buffer smaller than the batch": (
        ["agent=dqn", "agent.buffer_size=50"],
        r"buffer_size=50 is too small for batch",
    ),
    "returns longer than an episode": (
        ["agent=dqn", "env=cartpole", "agent.n_step=501"],
        r"n_step=501 is longer than an episode.* 500 steps",
    ),
    "negative alpha": (
        ["agent=dqn", "agent.priority_alpha=-1"],
        r"agent\.priority_alpha=-1 .*greater than or equal to 0",
    ),
    "one bad job of a sweep": (["-m", "lr=1e-3,-1"], r"lr=-1 .*greater than 0"),
    "override without a value": (["lr"], r"lr"),
    "a GPU where there is none": (["hardware=gpu"], r"no CUDA device: use hardware=cpu"),
    "unknown Gymnasium id": (["env=gym", "env.id=CartPol-v1"], r"did you mean 'CartPole-v1'"),
    "wrong kwargs": (["env=lunarlander", "+env.kwargs.wings=2"], r"wings"),
    "images": (["env=gym", "env.id=CarRacing-v3"], r"'CarRacing-v3' is not supported: .* shape \(96, 96, 3\)"),
    "a reward that reads what is not there": (["env=cartpole", "reward=threat"], r"reads 'label'.*native_reward"),
    "no data": (["env.data=nsl_kdd"], r"env\.path"),
    "missing data file": (["env.data=csv", "env.path=nothing.csv", "env.label=label"], r"nothing\.csv"),
    "wrong columns": (["env.data=csv", "env.path=good.csv", "env.label=verdict"], r"good\.csv.*verdict"),
    "empty CSV": (["env.data=csv", "env.path=empty.csv", "env.label=label"], r"empty\.csv.*empty"),
    "CSV with NaN": (["env.data=csv", "env.path=nan.csv", "env.label=label"], r"nan\.csv.*(line 5|row)"),
    "a number for a group": (["tracker=1"], r"tracker=1 is not an option: tracker takes .*none, tensorboard"),
    "a list with null for a group": (["reward=[null]"], r"reward=null is not an option: reward takes .*threat"),
    "an empty list for a group": (["env=[]"], r"env=\[\] is not an option"),
    "a truth value for a group": (["hardware=true"], r"hardware=True is not an option"),
    "keys of another section": (["agent={a: 1}"], r"agent\.a is not a key"),
    "a group without its section": (["tracker={name: 1}"], r"tracker=1 is not a tracker"),
    "no group": (["~agent"], r"~agent removes the group agent: agent takes a2c, dqn, ppo"),
    "a second option": (["+agent=dqn"], r"remove the \+"),
    "a huge value": (["env.path=" + "x" * 10_000], r"at most 5,000 characters"),
    "a deep value": (["env.ignore=" + "[" * 2_000 + "]" * 2_000], r"env\.ignore=.* cannot be read"),
    "a missing value": (["seed=???"], r"seed has no value"),
    "an unknown interpolation": (["name=${nope}"], r"name: .*'nope' not found"),
    "an interpolation of itself": (["lr=${lr}"], r"lr: Recursive interpolation"),
    "another folder for each job": (["-m", "seed=1,2", "hydra.sweep.subdir=x"], r"subdir=x is not possible"),
    "a key of Hydra that it cannot use": (["hydra.verbose={}"], r"hydra\.verbose=\{\} is not possible"),
    "a directory that interpolates nothing": (["hydra.run.dir=${nope}"], r"'nope' not found"),
    "an equals sign without quotes": (["hydra.run.dir=a=b"], r"quotes, such as 'hydra\.run\.dir=\"a=b\"'"),
    "several values without -m": (["lr=1e-3,1e-4"], r"lr=1e-3,1e-4 has several values: add -m"),
    "more jobs than anyone runs": (["-m", "seed=range(0,1e12)"], r"more than 10,000 jobs"),
    "a sweep in any order": (["-m", "seed=shuffle(1,2)"], r"shuffle\(1,2\) is not possible"),
    "a setting as a flag": (["--agent=ppo"], r"no dashes in front, such as agent=ppo"),
    "a setting of another library as a flag": (["--learning-rate", "1e-3"], r"such as lr=1e-3"),
    "two flags that print": (["--cfg=job", "--info"], r"--cfg and --info exclude each other"),
    "a config that cannot be printed": (["--cfg=job", "tracker=1"], r"tracker=1 is not an option"),
    "a Gymnasium environment without an id": (["env=gym"], r"env\.id has no value: add env\.id="),
    "an agent that there is not": (["agent=sac"], r"agent=sac is not an option: agent takes a2c, dqn, ppo"),
    "another word for a key of the agent": (["agent=dqn", "agent.n_steps=5"], r"did you mean 'agent\.n_step'"),
    "another word for a key of a section": (["num_envs=4"], r"did you mean 'agent\.n_envs'"),
    "not a run": (["resume=."], r"not a run directory"),
    "no such run": (["resume=nowhere"], r"nowhere is not a directory"),
    "no run at all": (["resume=latest"], r"outputs is not a folder"),
    "a metric of another environment": (["env=cartpole", "validation.metric=f1"], r"validation\.metric.*mean_return"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "good.csv").write_text(CSV)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "nan.csv").write_text(CSV.replace("3,1,0", "NaN,1,0", 1).replace("4,5,0", "NaN,5,0", 1))
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    status = launch(ROOT, arguments, lambda: pytest.fail("training began"))
    assert status == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line
    assert sorted(tmp_path.iterdir()) == before  # nothing left behind


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("agent.buffer_size=1000000000000000", "lower agent.buffer_size=1000000000000000"),
        ("replay.folder=nowhere", "nowhere cannot hold the replay buffer (No such file or directory)"),
    ],
)
def test_a_replay_buffer_without_room_is_one_sentence_and_status_2(override, message, tmp_path):
    done = train(tmp_path, "agent=dqn", "env=cartpole", "replay.storage=memmap", override, "hydra.run.dir=run")
    assert done.returncode == 2
    *_, line = done.stderr.strip().splitlines()  # below the progress of a run that has yet to begin
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())


def test_the_version_is_ours(capsys):
    assert launch(ROOT, ["--version"], lambda: pytest.fail("training began")) == 0
    assert capsys.readouterr().out == f"rl_eval {__version__}\n"


def test_the_exit_status_reaches_the_shell(tmp_path):
    done = train(tmp_path, "lr=-1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: lr=-1")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_while_modules_are_loaded_is_quiet(tmp_path):
    code = """
import runpy, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "rl_eval.launch":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
runpy.run_path(sys.argv[1], run_name="__main__")
"""
    command = [sys.executable, "-c", code, str(ROOT / "train.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_resume_of_a_finished_run_is_refused(finished):
    run, _ = finished
    done = train(run.parent, f"resume={run}")
    assert done.returncode == 2
    assert "is finished" in done.stderr
    other = train(run.parent, f"resume={run}", "lr=1e-3")
    assert other.returncode == 2
    assert "remove lr=1e-3" in other.stderr


def test_the_command_that_an_interrupted_job_of_a_sweep_prints_resumes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = Path('it\'s "a" sweep, ${seed}', "0_lr=0.0003,seed=1")
    job.parent.mkdir()
    learn([*SHORT, "resume_every=2048"], job, stop_at=2048)
    assert info(job)["status"] == "interrupted"
    assert info(job)["metric"] == "mean_return"
    done = subprocess.run(
        ["bash", "-c", run_directory.resume_command(job).replace("python train.py", '"$PYTHON" "$TRAIN"')],
        env={**os.environ, "PYTHON": sys.executable, "TRAIN": str(ROOT / "train.py")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert info(job)["status"] == "finished"
    assert sorted(path.name for path in tmp_path.iterdir()) == [job.parent.name, "outputs"]  # outputs has the ledger
    assert [path.name for path in job.parent.iterdir()] == [job.name]


def test_a_directory_that_interpolates_is_where_the_run_lies(tmp_path):
    done = train(tmp_path, *SHORT, "seed=3", "hydra.run.dir='a,b=${seed}'")
    assert done.returncode == 0, done.stderr
    assert info(tmp_path / "a,b=3")["status"] == "finished"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a,b=3", "outputs"]


def test_help_teaches_the_groups(tmp_path):
    done = train(tmp_path, "--help")
    assert done.returncode == 0
    for words in (
        "agent: a2c, dqn, ppo",
        "cartpole, gym, lunarlander, prompt, qase, threat, webtest",
        "hardware:",
        "tracker:",
        "-m lr=3e-4,1e-3",
    ):
        assert words in done.stdout
    assert not list(tmp_path.iterdir())


def test_shell_completion_is_offered(tmp_path):
    done = train(tmp_path, "-sc", "install=bash")
    assert done.returncode == 0
    assert "hydra_bash_completion" in done.stdout
    query = train(tmp_path, "-sc", "query=bash", COMP_LINE="train.py agent=", COMP_POINT="15")
    assert "agent=ppo" in query.stdout


def test_gymnasium_environments_by_id_continuous_and_discrete_observations(tmp_path):
    few = ["total_steps=1024", "agent.n_envs=4", "agent.n_steps=64", "agent.batch_size=64", "validation.episodes=2"]
    for env_id in ("Pendulum-v1", "FrozenLake-v1"):
        done = train(tmp_path, "env=gym", f"env.id={env_id}", *few)
        assert done.returncode == 0, done.stderr
        assert "not judged" in done.stdout


@pytest.mark.verify  # the gates train on these files as well
@pytest.mark.skipif(not NSL_KDD.is_dir(), reason="the public NSL-KDD files are not here")
def test_nsl_kdd_trains_from_the_public_files(tmp_path):
    done = train(tmp_path, "env.data=nsl_kdd", f"env.path={NSL_KDD}", "total_steps=50000")
    assert done.returncode == 0, done.stderr
    assert "beats_logistic" in done.stdout
    assert set(info(only_run(tmp_path))["data_fingerprints"]) == {"train", "validation", "test"}


def test_reward_terms_are_logged(tmp_path):
    done = train(tmp_path, *SHORT, "+reward.terms.again={_target_: rl_eval.rewards.Native, weight: 0.5}")
    assert done.returncode == 0, done.stderr
    lines = (only_run(tmp_path) / "metrics.csv").read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert float(row["reward/native"]) == pytest.approx(1.0)
    assert float(row["reward/again"]) == pytest.approx(0.5)
    assert np.isfinite(float(row["explained_variance"]))
