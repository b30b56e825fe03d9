import math
import os
import subprocess
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_eval.tracking import open_tracker, verdict_summary
from rl_eval.tracking._tensorboard import TensorBoardSettings

CONFIG = {"lr": None, "agent": {"gamma": 0.99, "network": {"widths": [64, 64]}}, "normalize": True}


def track(run_dir, steps, status="finished", values=None):
    tracker = open_tracker(TensorBoardSettings(), run_dir=run_dir, config=CONFIG)
    for step in steps:
        mean = math.nan if step == 0 else step / 2
        tracker.log({"env_steps": step, "episode_return_mean": mean, "reward/landing": 1.0}, step)
    tracker.summary(values or {})
    tracker.close(status)


def read(run_dir):
    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    return events


def test_logged_values_can_be_read_back(tmp_path):
    rows = [{"suite": "s", "criterion": "f1", "decision": "PASS", "estimate": 0.5}]
    track(tmp_path, [0, 100, 200], values={**verdict_summary(rows), "results": {"mean": 7.0}})
    logged = read(tmp_path)
    assert set(logged.Tags()["scalars"]) == {
        "episode_return_mean",
        "reward/landing",
        "verdict/s/f1/estimate",
        "results/mean",
    }
    events = logged.Scalars("episode_return_mean")
    assert [event.step for event in events] == [0, 100, 200]
    assert math.isnan(events[0].value)
    assert [event.value for event in events[1:]] == [50.0, 100.0]
    assert logged.Scalars("verdict/s/f1/estimate")[0].step == 200
    texts = {
        tag: logged.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in logged.Tags()["tensors"]
        if logged.Tensors(tag)[0].tensor_proto.string_val
    }
    assert texts["verdict/s/f1"] == "PASS"
    assert texts["status"] == "finished"
    assert "agent.gamma: 0.99" in texts["config"]


def test_hyper_parameters_have_their_types(tmp_path):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    track(tmp_path, [])
    content = read(tmp_path).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    assert hparams["agent.gamma"].number_value == 0.99
    assert hparams["normalize"].bool_value is True
    assert hparams["agent.network.widths"].string_value == "[64, 64]"


def test_a_resumed_run_replaces_the_steps_that_it_plays_again(tmp_path):
    track(tmp_path, [100, 200, 300], status="interrupted")
    track(tmp_path, [200, 300, 400])
    assert [event.step for event in read(tmp_path).Scalars("episode_return_mean")] == [100, 200, 300, 400]


def test_needs_neither_torch_nor_tensorflow(tmp_path):
    code = (
        "import sys; from pathlib import Path; from rl_eval.tracking import *\n"
        "settings = settings_model('tensorboard')(name='tensorboard')\n"
        "t = open_tracker(settings, run_dir=Path(sys.argv[1]), config={'a': 1})\n"
        "t.log({'x': 1.0}, 1); t.close('finished')\n"
        "assert not {'torch', 'tensorflow', 'wandb'} & set(sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
