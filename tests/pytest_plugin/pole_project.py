"""The files of a small project with a suite about CartPole, and what pytest says about it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

# pytester forgets what a session inside this process imports; what is imported before, it shares
import rl_eval.domains.lunarlander
import rl_eval.domains.threat.csv_data
import rl_eval.domains.threat.data
import rl_eval.gates
import rl_eval.terminal  # noqa: F401
from tests.gates import fake_runs

write_run = functools.partial(fake_runs.write_run, record=False)  # so that held_out is not checked

ROOT = Path(__file__).parents[2]
SUITE = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
episodes: {fixed: 5}
controls: []
leaks: report
criteria:
  solved: {metric: mean_return, at_least: 475, by: estimate}
  short: {metric: mean_length, at_most: 100, by: estimate}
  quick: {metric: training.wall_s, at_most: 60}
"""
SPREAD = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
runs: {count: 2}
episodes: {fixed: 5}
controls: []
leaks: report
criteria:
  solved: {metric: mean_return, at_least: 475, by: estimate}
  stable: {metric: mean_return_seed_std, at_most: 1, by: estimate}
"""
REGISTER = """
linear = "agents.fake:Linear"
register("fake", config=linear, agent=linear, load_policy="agents.fake:load")
"""
TRAIN = """\
import re, sys
from pathlib import Path
from tests.gates.fake_runs import write_run
print("training with", *sys.argv[1:])
if "env=cartpole" not in sys.argv:
    sys.exit("error: cannot")
seeds = re.search(r"seed=([0-9,]+)", " ".join(sys.argv))
for seed in seeds.group(1).split(",") if seeds else ["42"]:
    taken = len(list(Path("outputs").glob("*"))) if Path("outputs").exists() else 0
    write_run(Path("outputs") / f"trained{taken}", seed=int(seed), record=False)
"""


def output(result):
    return result.stdout.str() + result.stderr.str()


def not_judged(result):
    """How many items are, where all others are none of a suite."""
    result.assert_outcomes()
    assert result.ret == 1
    return int(re.search(r"(\d+) not judged", result.stdout.lines[-1])[1])
