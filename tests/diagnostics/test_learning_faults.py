"""Faults put into training on purpose: doctor must name each of them first.

Each fault trains for real. The quick ones run always, all of them in `make verify`.
"""

import numpy as np
import pytest

from agents import on_policy
from agents.ppo import PPO
from rl_eval.domains.threat import vector as threat_vector
from tests.diagnostics.faulty import CARTPOLE, THREAT, findings_in, learn

# A short run of each kind; what a fault needs on top comes after, and wins.
ON_CARTPOLE = [*CARTPOLE, "total_steps=40960", "agent.n_envs=8", "agent.n_steps=128", "agent.n_epochs=4"]
ON_THREAT = [*THREAT, "env.train_flows=10000", "env.validation_flows=4000"]


def counts_one_copy_only(monkeypatch):
    """The counter rises by one at a vector step, whatever the number of copies."""
    iterate = PPO.iterate

    def counting(self):
        before = self.env_steps
        row = iterate(self)
        self.env_steps = before + self.config.n_steps
        return row

    monkeypatch.setattr(PPO, "iterate", counting)


def never_fills_the_buffer_anew(monkeypatch):
    """Every update sees the first rollout."""
    collect = PPO.collect

    def first(self):
        rollout = collect(self)
        self.first_rollout = getattr(self, "first_rollout", rollout)
        return self.first_rollout

    monkeypatch.setattr(PPO, "collect", first)


def learns_from_old_rollouts(monkeypatch):
    """Each update sees a rollout that was collected ten iterations ago."""
    collect = PPO.collect

    def delayed(self):
        self.queue = [*getattr(self, "queue", []), collect(self)][-11:]
        return self.queue[0]

    monkeypatch.setattr(PPO, "collect", delayed)


def forgets_to_step(monkeypatch):
    """The gradient is computed, and the optimiser never called."""
    monkeypatch.setattr(PPO, "apply_gradient", lambda self: None)


def starts_with_dead_units(monkeypatch):
    """Biases so low that no ReLU ever opens."""
    make = on_policy.ActorCritic.__init__

    def dead(self, *arguments, **keywords):
        make(self, *arguments, **keywords)
        for body in (self.actor_body, self.critic_body):
            body[0].bias.data.fill_(-100.0)

    monkeypatch.setattr(on_policy.ActorCritic, "__init__", dead)


def starts_sure_of_one_action(monkeypatch):
    """The head prefers action 0 by 20 nats, before anything was tried."""
    make = on_policy.ActorCritic.__init__

    def sure(self, *arguments, **keywords):
        make(self, *arguments, **keywords)
        self.actor_head.bias.data[0] = 20.0

    monkeypatch.setattr(on_policy.ActorCritic, "__init__", sure)


def rewards_in_millions(monkeypatch):
    """The reward arrives in another unit."""
    collect = PPO.collect

    def scaled(self):
        rollout = collect(self)
        rollout.rewards *= 1e6
        return rollout

    monkeypatch.setattr(PPO, "collect", scaled)


def targets_that_overflow(monkeypatch):
    """The reward grows until a float cannot hold its square."""
    collect = PPO.collect

    def growing(self):
        rollout = collect(self)
        rollout.rewards *= np.float32(10.0) ** min(self.training_epochs, 30)
        return rollout

    monkeypatch.setattr(PPO, "collect", growing)


def shows_the_flow_before(monkeypatch):
    """Off by one: the policy sees other flows than those it decides on."""
    observe = threat_vector.ThreatVector._observe
    monkeypatch.setattr(threat_vector.ThreatVector, "_observe", lambda self: np.roll(observe(self), 1, axis=0))


# name: what is wrong, the overrides, the finding that must come first, whether it runs in the plain suite
FAULTS = {
    "the counter counts one copy only": (counts_one_copy_only,
                                        [*ON_CARTPOLE, "total_steps=5120", "validation.every=2048"],
                                        "counter_not_wired", True),
    "the buffer is never filled anew": (never_fills_the_buffer_anew, ON_CARTPOLE, "stale_experience", True),
    "rollouts are ten iterations old": (learns_from_old_rollouts, ON_CARTPOLE, "stale_experience", False),
    "400 epochs on each rollout": (None, [*ON_CARTPOLE, "total_steps=8192", "agent.n_epochs=400"],
                                   "stale_experience", False),
    "returns of independent steps": (None, [*ON_THREAT, "agent.all_actions=false", "agent.gamma=0.99",
                                             "agent.gae_lambda=0.95"],
                                     "critic_ceiling", True),
    "no weight on the value loss": (None, [*ON_CARTPOLE, "agent.vf_coef=0"], "critic_explains_nothing", True),
    "no weight, and normalised returns": (None, [*ON_CARTPOLE, "agent.vf_coef=0", "agent.normalize_return=true"],
                                          ("critic_explains_nothing", "normalised_value_loss"), False),
    "rewards in millions": (rewards_in_millions, ON_CARTPOLE, "gradients_explode", False),
    "targets that overflow": (targets_that_overflow, ON_CARTPOLE, "gradients_explode", True),
    "a learning rate of next to nothing": (None, [*ON_CARTPOLE, "agent.lr=1e-9"], "updates_too_small", False),
    "the optimiser never steps": (forgets_to_step, ON_CARTPOLE, ("updates_too_small", "policy_unmoved"), False),
    "a learning rate of .3": (None, [*ON_CARTPOLE, "agent.lr=0.3"], "updates_too_large", False),
    "an entropy bonus of 10": (None, [*ON_CARTPOLE, "agent.ent_coef=10"], "entropy_never_falls", False),
    "dead units": (starts_with_dead_units, [*ON_CARTPOLE, "agent.network.activation=relu"], "dormant_units", False),
    "sure of one action from the start": (starts_sure_of_one_action, ON_CARTPOLE, "entropy_collapse", False),
    "a reward under which flagging never pays": (
        None,
        [*ON_THREAT, "reward.terms.matrix.values=[[0.0,-1.4,-0.8,-0.5],[0.0,-0.1,-0.1,-0.1]]"],
        "policy_collapse",
        False,
    ),
    "the policy sees the flow before": (shows_the_flow_before, ON_THREAT, "policy_collapse", False),
}  # fmt: skip


def named_first(directory, fault, monkeypatch):
    """Train with a fault; returns the findings' names, and those that would be right."""
    wrong, overrides, expected, _ = FAULTS[fault]
    if wrong is not None:
        wrong(monkeypatch)
    learn(directory, overrides, finishes=fault != "targets that overflow")
    findings = findings_in(directory)
    print(f"\n{fault}: " + "; ".join(f"{f.severity} {f.name} ({f.evidence})" for f in findings))
    return [f.name for f in findings], (expected,) if isinstance(expected, str) else expected


@pytest.mark.filterwarnings("ignore:overflow encountered")  # one of the faults is just that
@pytest.mark.parametrize("fault", [name for name, (*_, quick) in FAULTS.items() if quick])
def test_doctor_names_the_fault_first(fault, tmp_path, monkeypatch):
    names, expected = named_first(tmp_path / "run", fault, monkeypatch)
    assert names
    assert names[0] in expected


@pytest.mark.verify
@pytest.mark.parametrize("fault", [name for name, (*_, quick) in FAULTS.items() if not quick])
def test_doctor_names_the_other_faults_first_too(fault, tmp_path, monkeypatch):
    names, expected = named_first(tmp_path / "run", fault, monkeypatch)
    assert names
    assert names[0] in expected
