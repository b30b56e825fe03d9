"""`agents:<agent>=<policy>+<agent>=<policy>`: a policy for each agent of an environment of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rl_eval.envs.parallel_env import OfAgents
from rl_eval.errors import InputError
from rl_eval.policy._identity import canonical, digest, identity, is_cacheable
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._shared import PoliciesOfAgents, spaces_of_agent
from rl_eval.policy._source import SOURCES, Source, load, names_policy, notes


class AgentsSource(Source):
    """A policy for each agent. Needs the trust that one of them needs."""

    prefix = "agents"
    usage = "agents:<agent>=<policy>+<agent>=<policy>"
    acts_for_agents = True

    def needs_trust(self, rest: str) -> str | None:
        """What the first policy that needs trust says."""
        for policy in by_agent(rest).values():
            if names_policy(policy):
                prefix, _, own = policy.partition(":")
                if (why := SOURCES.get(prefix).needs_trust(own)) is not None:
                    return f"has {policy!r}, which {why}"
        return None

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """All policies; each draws with the seed and the number of its agent.

        Raises:
            InputError: other agents than those of the environment, or a policy that cannot be loaded.
        """
        if not isinstance(spaces.observation, OfAgents):
            raise InputError(f"policy {spec!r} is for several agents, and {spaces.title} has one: give one policy")
        policies, agents = by_agent(rest), list(spaces.observation)
        if set(policies) != set(agents):
            raise InputError(
                f"policy {spec!r} names {', '.join(policies)}, but the agents of {spaces.title} are {', '.join(agents)}"
            )
        trusted = self.needs_trust(rest) is not None  # it was asked for
        acting = [
            (load(policies[a], spaces_of_agent(spaces, a), config, seed=seed + i, trust=trusted), [a])
            for i, a in enumerate(agents)
        ]
        return PoliciesOfAgents(acting, spaces)

    def identity(self, rest: str) -> str | None:
        """A hash of the agents and the identities of their policies."""
        each = {agent: identity(policy) for agent, policy in sorted(by_agent(rest).items())}
        if None in each.values():
            return None
        return digest(self.prefix, *(part for pair in each.items() for part in map(str, pair)))

    def is_cacheable(self, rest: str) -> bool:
        """Whether all policies are."""
        return all(map(is_cacheable, by_agent(rest).values()))

    def notes(self, rest: str) -> Sequence[str]:
        """Those of the policies."""
        return [note for policy in by_agent(rest).values() for note in notes(policy)]

    def canonical(self, rest: str) -> str:
        """The policies with their files written in one way."""
        return "+".join(f"{agent}={canonical(policy)}" for agent, policy in by_agent(rest).items())


def by_agent(rest: str) -> dict[str, str]:
    """The policy of each agent; a `+` that no `<agent>=` follows belongs to the policy before it.

    Raises:
        InputError: no agent, one without a policy, or one twice.
    """
    pairs = [part.partition("=") for part in re.split(r"\+(?=[A-Za-z_][\w-]*=)", rest)]
    policies = {agent: policy for agent, _, policy in pairs}
    if len(policies) < len(pairs) or not all(agent and policy for agent, policy in policies.items()):
        raise InputError(f"policy 'agents:{rest}' is not valid: give agents:<agent>=<policy>+<agent>=<policy>")
    return policies
