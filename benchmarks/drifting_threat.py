"""Forgetting on drifting threat traffic: plain fine-tuning compared with EWC, `python -m benchmarks.drifting_threat`.

Traffic comes in four periods, each with attacks and benign services of its own. A policy learns from the logged
decisions of its predecessor, one period after the other, and is not shown a period again, except by replay. After each
it is tested on flows of all periods that nobody learns from. `score[i, j]` is the share of flows of period j that are
flagged if, and only if, they are threats, after learning period i; `first[j]` is that of the untrained network. Threats
are half of each period, so that .5 is worth nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from rl_eval import config as run_configs
from rl_eval import seeding
from rl_eval.agent_registry import agent
from rl_eval.domains import domain, validate
from rl_eval.hydra_compose import compose
from rl_eval.policy import Spaces
from rl_eval.production.learning import learn_from_logs
from rl_eval.production.learning_config import TrainingConfig
from rl_eval.production.proof.transfer import backward_transfer, forward_transfer
from rl_eval.serving.learning import NoEnvironment
from rl_eval.serving.rows import Decision, Experience, StoredTransition
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.source import Source, served, version_of

CONF = Path(__file__).resolve().parents[1] / "conf"
# (benign families, attack families) of each period
PERIODS = (
    (("web", "name_lookup", "mail"), ("port_scan", "password_guessing")),
    (("web", "backup"), ("flood",)),
    (("name_lookup", "administration"), ("exfiltration",)),
    (("web", "mail"), ("beacon",)),
)
DECISIONS, HELD_OUT = 1_500, 1_000
COSTS = np.array(((0.0, 1.4, 0.8, 0.5), (2.0, 0.0, 0.2, 0.5)))  # [benign, threat][action], as env.costs

Flows = tuple[np.ndarray, np.ndarray]  # observations [N, D] and labels [N]


def _dataset() -> Any:
    from rl_eval.domains.threat.data import load_dataset

    return load_dataset(validate({"name": "threat", "train_flows": 200_000, "test_flows": 150_000}))


def later_flows(seed: int, period: int, count: int) -> Flows:
    """Further flows of a period, which are not used for training."""
    return _flows(_dataset(), "test", PERIODS[period], count, np.random.default_rng([29, seed]))


def periods(seed: int) -> list[tuple[Flows, Flows]]:
    """Flows to learn from and held-out flows of each period."""
    dataset, rng = _dataset(), np.random.default_rng([17, seed])
    return [
        (_flows(dataset, "train", families, DECISIONS, rng), _flows(dataset, "test", families, HELD_OUT, rng))
        for families in PERIODS
    ]


def _flows(dataset: Any, part: str, families: Sequence[Sequence[str]], count: int, rng: np.random.Generator) -> Flows:
    """Half of them benign, families alike."""
    flows, rows = dataset.parts[part], []
    for names in families:
        for name in names:
            candidates = np.flatnonzero(flows.category == dataset.category_names.index(name))
            rows.append(rng.choice(candidates, count // 2 // len(names), replace=False))
    chosen = rng.permutation(np.concatenate(rows))
    return flows.features[chosen], flows.label[chosen].astype(int)


def untrained(seed: int, agent_name: str = "ppo") -> Source:
    """A policy that has learned nothing."""
    values = compose(CONF, [f"agent={agent_name}", "env=threat", f"tuned=threat_{agent_name}_online", f"seed={seed}"])
    run_config = run_configs.load(values)
    vector = domain("threat").make(run_config.env, n_envs=1, part="train")
    spaces = Spaces("threat", vector.single_observation_space, vector.single_action_space)
    generators = {name: seeding.generator(seed, name) for name in ("init", "policy", "minibatch")}
    built = agent(agent_name).build(
        run_config.agent, NoEnvironment(spaces, run_config.agent.n_envs), generators=generators,
        total_steps=run_config.total_steps, device="cpu", folder=Path(tempfile.gettempdir()),
    )  # fmt: skip
    arrays, meta = built.policy_checkpoint()
    meta = {**meta, "agent": agent_name, "env": "threat", "env_steps": 0}
    return source({name: np.array(value) for name, value in arrays.items()}, meta, values)


def source(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], values: Mapping[str, Any]) -> Source:
    """A policy as it is served."""
    return Source("threat", served(arrays, meta, version_of(arrays), seed=0), arrays, meta, values)


def logged(
    policy: ServedPolicy, flows: Flows, seed: int, first: int = 1, epsilon: float = 0.1
) -> list[StoredTransition]:
    """Decisions of a policy that takes any action with a chance of ε, and their rewards: minus the cost."""
    obs, labels = flows
    rng = np.random.default_rng([23, seed])
    probabilities = policy.distributions(obs, None).probabilities
    assert probabilities is not None
    mixed = (1 - epsilon) * probabilities + epsilon / probabilities.shape[1]
    actions = (mixed.cumsum(axis=1) > rng.random((len(obs), 1))).argmax(axis=1)
    rows = []
    for i, action in enumerate(actions.tolist()):
        decision = Decision(
            policy.version, None, obs[i].tobytes(), None, np.int64(action).tobytes(),
            float(np.log(mixed[i, action])), None, float(probabilities[i].max()), False,
        )  # fmt: skip
        rows.append(
            StoredTransition(first + i, decision, Experience(-COSTS[labels[i], action], True, False, None, None))
        )
    return rows


def judged(policy: ServedPolicy, flows: Flows) -> tuple[np.ndarray, np.ndarray]:
    """Confidences `[N]` of greedy decisions, and which of them flag or spare a flow wrongly, bool `[N]`."""
    obs, labels = flows
    decided = policy.decide(obs, np.ones(len(obs), bool), None, np.random.default_rng(0))
    assert decided.confidence is not None
    return decided.confidence, (decided.drawn > 0) != labels


def accuracy(policy: ServedPolicy, flows: Flows) -> float:
    """The share of flows that are flagged if, and only if, they are threats."""
    obs, labels = flows
    decided = policy.decide(obs, np.ones(len(obs), bool), None, np.random.default_rng(0))
    return float(((decided.drawn > 0) == labels).mean())


def run_seed(seed: int, training: TrainingConfig, agent_name: str = "ppo") -> tuple[np.ndarray, np.ndarray]:
    """`score` `[T, T]` and `first` `[T]` of one seed."""
    champion, traffic = untrained(seed, agent_name), periods(seed)
    values, fisher, known = champion.run_config, None, None
    assert values is not None
    first = np.array([accuracy(champion.policy, held_out) for _, held_out in traffic])
    score, old = np.empty((len(traffic), len(traffic))), []
    with tempfile.TemporaryDirectory() as folder:
        for i, (flows, _) in enumerate(traffic):
            new = logged(champion.policy, flows, seed * 100 + i, first=1 + i * DECISIONS)
            own = training if i else training.model_copy(update={"ewc_lambda": 0.0, "rounds": 12})
            candidate = learn_from_logs(
                champion, new, old, own, fisher_observations=known, folder=Path(folder), fisher=fisher, seed=seed
            )
            champion = source(candidate.arrays, candidate.meta, values)
            fisher, known, old = candidate.fisher, flows[0], [*old, *new]
            score[i] = [accuracy(champion.policy, held_out) for _, held_out in traffic]
    return score, first


METHODS = {
    "plain": {"ewc_lambda": 0.0, "replay": 0.0},
    "EWC": {"replay": 0.0, "ewc_lambda": 200.0},
    "replay": {"ewc_lambda": 0.0},
    "EWC + replay": {"ewc_lambda": 30.0},
}


def training(method: str, agent_name: str = "ppo", **changes: Any) -> TrainingConfig:
    """The settings of one method."""
    return TrainingConfig(**{"rounds": 8, "lr": 1e-3, **METHODS[method], **changes})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--agent", default="ppo", choices=("ppo", "dqn"))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--ewc-lambda", type=float)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    changes = {} if arguments.ewc_lambda is None else {"ewc_lambda": arguments.ewc_lambda}
    of_method: dict[str, np.ndarray] = {}
    print(f"{'':>14} {'accuracy':>9} {'BWT':>16} {'FWT':>16} {'newest':>8} {'s':>6}")
    for method in arguments.methods:
        started = time.perf_counter()
        own = changes if METHODS[method].get("ewc_lambda") != 0.0 else {}
        found = [run_seed(seed, training(method, **own), arguments.agent) for seed in range(arguments.seeds)]
        spent = time.perf_counter() - started
        bwt = np.array([backward_transfer(score) for score, _ in found])
        of_method[method] = bwt
        fwt = np.array([forward_transfer(score, first) for score, first in found])
        last = np.mean([score[-1].mean() for score, _ in found])
        newest = np.mean([np.diag(score).mean() for score, _ in found])
        print(
            f"{method:>14} {last:9.3f} {bwt.mean():+8.3f} ±{bwt.std(ddof=1):.3f} {fwt.mean():+8.3f} "
            f"±{fwt.std(ddof=1):.3f} {newest:8.3f} {spent:6.1f}"
        )
    if {"plain", "EWC"} <= of_method.keys():
        difference = of_method["EWC"] - of_method["plain"]
        print(
            f"BWT of EWC minus plain: {difference.mean():+.3f}, paired permutation p = {permutation_p(difference):.4f}"
        )


def permutation_p(differences: np.ndarray) -> float:
    """Of a mean above 0 by chance, from all 2^n signs of n ≤ 16 paired differences."""
    count = len(differences)
    signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    return float((signs @ differences >= differences.sum() - 1e-12).mean())


if __name__ == "__main__":
    main()
