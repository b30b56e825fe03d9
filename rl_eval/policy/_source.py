"""`Source`: one way to name a policy, such as `onnx:<file>`; the registry of sources, and loading by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rl_eval.envs.parallel_env import OfAgents
from rl_eval.errors import TRUST_IT, InputError, nearest
from rl_eval.formatting import mask_url, mask_urls
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._run import load_run
from rl_eval.policy._shared import PoliciesOfAgents, spaces_of_all
from rl_eval.registry import Registry


class Source(ABC):
    """One way to name a policy: `<prefix>:<rest>`.

    A source is a stateless object, registered with `rl_eval.policy.register` or as an entry point of the group
    `rl_eval.policies`, whose name is then the prefix.

    Attributes:
        prefix: the text before the first colon.
        usage: how a person writes such a policy, for messages: `onnx:<file>`.
        prefix_alone: whether the prefix without a colon names a policy too.
        is_seeded: whether all that its policies draw at random follows from the seed, no matter who made them.
        acts_alone: whether the actions of a greedy policy follow from the observations of their own episode, so that
            its episodes can be played by several processes. A policy that draws at random draws for all copies.
        acts_for_agents: whether its policies take the dicts of environments of several agents; others act for each
            agent.
        files: suffix of a file -> how the policy in it is named, with `{file}` or `{stem}`, for messages.
    """

    prefix: str
    usage: str
    prefix_alone: ClassVar[bool] = False
    is_seeded: ClassVar[bool] = False
    acts_alone: ClassVar[bool] = False
    acts_for_agents: ClassVar[bool] = False
    files: ClassVar[Mapping[str, str]] = {}

    def needs_trust(self, rest: str) -> str | None:
        """Why loading or playing the policy needs trust, such as "imports and runs code"; None if it does not.

        Raises:
            InputError: `rest` is malformed.
        """
        return None

    @abstractmethod
    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The policy, fitted to an environment.

        Args:
            rest: the text after the first colon.
            spec: the whole string, for messages.
            spaces: what the policy must fit.
            config: the environment's config.
            seed: of the policy's own draws.

        Raises:
            InputError: the policy does not exist, or does not fit.
        """

    def preprocessing(self, rest: str, spec: str) -> Mapping[str, Any] | None:
        """`preprocessing.json` of the run that the policy comes from, unchecked: how its observations are made.

        A suite applies it to its own data. None: the policy takes observations as its environment makes them. Empty:
        it comes from a run, and no preprocessing with it; a suite whose environment fits one refuses it.

        Args:
            rest, spec: as of `load`.

        Raises:
            InputError: it cannot be read.
        """
        return None

    def identity(self, rest: str) -> str | None:
        """SHA-256 of what decides how the policy acts; None if nothing is known of it but its name.

        Equal for equal bytes, in any place and with any spelling of the path; `rl_eval.policy.digest` hashes
        texts and files.

        Raises:
            OSError: a file cannot be read.
        """
        return None

    def is_cacheable(self, rest: str) -> bool:
        """Whether `identity` and the versions of installed packages cover all that acts: a verdict then stays true."""
        return False

    def notes(self, rest: str) -> Sequence[str]:
        """Sentences on what the name leaves out and probably matters; a verdict shows them."""
        return ()

    def canonical(self, rest: str) -> str:
        """The same with paths of files written in one way, by `rl_eval.formatting.short_path`."""
        return rest


SOURCES: Registry[Source] = Registry("rl_eval.policies", "a policy source", Source, "prefix")


def register(*sources: Source) -> None:
    """Add sources.

    Raises:
        InputError: another source has the prefix.
    """
    for source in sources:
        SOURCES.register_named(source)


def names_policy(spec: str) -> bool:
    """Whether `spec` names a policy of some source rather than a run directory, judged by its prefix."""
    prefix, colon, _ = spec.partition(":")
    if colon or prefix not in SOURCES:
        return prefix in SOURCES
    return SOURCES.get(prefix).prefix_alone and not Path(spec).exists()


def load(spec: str, spaces: Spaces, config: Any, *, seed: int = 0, trust: bool = False) -> Policy:
    """The policy that `spec` names, fitted to an environment.

    Args:
        spec: a run directory, or a policy of a registered source: `random`, `constant:<a>`, `untrained[:<k>]`,
            `baseline:<name>`, `onnx:<file>`, `http://127.0.0.1:<port>/<path>`, `python:<module>:<callable>`,
            `sb3:<algo>:<zip>[+<vecnormalize.pkl>]`, …
        spaces: what the policy must fit.
        config: the environment's config, for its baselines.
        seed: of the policy's own draws.
        trust: whether the person allowed code from elsewhere to run (`sb3:` unpickles, `python:` and plugins of runs
            are imported) and observations to leave the machine (`http:` to another host).

    Raises:
        InputError: the policy does not exist, does not fit, or needs `--trust`.
    """
    prefix, _, rest = spec.partition(":")
    if prefix in SOURCES and (rest or SOURCES.get(prefix).prefix_alone):
        source = SOURCES.get(prefix)
        reason = source.needs_trust(rest)
        if reason is not None and not trust:
            raise InputError(f"policy {mask_urls(spec)!r} {reason}: {TRUST_IT}")
        if isinstance(spaces.observation, OfAgents) and not source.acts_for_agents:
            acting = source.load(rest, spec, spaces_of_all(spaces, spec), config, seed)
            return PoliciesOfAgents([(acting, list(spaces.observation))], spaces)
        return source.load(rest, spec, spaces, config, seed)
    if Path(spec).is_dir():
        return load_run(Path(spec), spaces, seed, trust=trust)
    raise not_a_policy(spec)


def notes(spec: str) -> Sequence[str]:
    """What the name of a policy leaves out and probably matters, such as statistics next to a model."""
    prefix, _, rest = spec.partition(":")
    return SOURCES.get(prefix).notes(rest) if names_policy(spec) else ()


def preprocessing(spec: str) -> Mapping[str, Any] | None:
    """How the observations of a policy are made from raw data: `preprocessing.json` of its run, unchecked.

    None: as its environment makes them. Empty: it comes from a run that has none.

    Raises:
        InputError: it cannot be read, or is not the one that training wrote.
    """
    if names_policy(spec):
        prefix, _, rest = spec.partition(":")
        return SOURCES.get(prefix).preprocessing(rest, spec)
    from rl_eval.run import read_preprocessing, read_run

    return (read_preprocessing(read_run(spec)) or {}) if Path(spec).is_dir() else None


def not_a_policy(spec: str) -> InputError:
    """Why `spec` is neither a run directory nor a policy, and what was probably meant."""
    path, shown = Path(spec), repr(mask_url(spec) if "//" in spec else spec)
    usages = ", ".join(SOURCES.get(name).usage for name in SOURCES)
    run = next((folder for folder in path.parents if (folder / "run.json").is_file()), None)
    if run is not None and path.exists():
        return InputError(f"{shown} is inside a run: name the run directory, {run}")
    for name in SOURCES:
        form = SOURCES.get(name).files.get(path.suffix.lower())
        if form is not None:
            meant = form.format(file=spec, stem=path.stem)
            return InputError(f"{shown} is not a run directory: a policy in such a file is named {meant}")
    if path.exists():
        return InputError(
            f"{shown} is a file that no policy source reads: export its policy to ONNX (onnx:<file>), or write a "
            f"function that calls it (python:<module>:<callable>); the policies are {usages}"
        )
    prefix, colon, _ = spec.partition(":")
    if prefix in SOURCES:
        return InputError(f"{shown} is not complete: give {SOURCES.get(prefix).usage}")
    if colon and "/" not in prefix:
        return InputError(
            f"{shown}: {prefix!r} is not a policy source: {nearest(prefix.lower(), SOURCES)}give a run directory, "
            f"{usages}"
        )
    return InputError(f"{shown} is neither a run directory nor a policy: give a run directory, {usages}")
