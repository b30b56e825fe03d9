"""`python -m tests.clients.prompt_server FOLDER`: serves a PPO policy of prompts with synthetic scores."""

import sys
from pathlib import Path

from rl_eval import domains, run, serving
from rl_eval.domains.prompt import DOMAIN
from rl_eval.domains.prompt.environment import dataset
from rl_eval.domains.prompt.environment.source import Source
from tests.domains.prompt.synthetic_tasks import TASKS, SyntheticScores
from tests.gates.fake_runs import record_files
from tests.serving.served_runs import write_run

AGENT = ["env=cartpole", "agent=ppo", "agent.n_envs=2", "agent.network.widths=[8]", "agent.lr=0.003"]
TRAIN = 3  # tasks, which a reward model needs


def main(folder):
    """Write the run and serve it until a signal comes."""
    tasks = {"train": TASKS["train"][:TRAIN], "validation": TASKS["validation"][:1], "test": TASKS["test"][:1]}
    dataset.load_source = lambda config: Source(tasks, SyntheticScores(), "feedback", "judge")
    if DOMAIN.name not in domains.DOMAINS:
        domains.register(DOMAIN)
    config = write_run(folder / "run", AGENT, environment={"name": DOMAIN.name})
    run.write_json(folder / "run" / "preprocessing.json", DOMAIN.preprocessing(config.env))
    record_files(folder / "run")
    return serving.serve(
        str(folder / "run"),
        host="127.0.0.1",
        port=0,
        token=None,
        folder=folder / "served",
        update_after=16,
        show=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
