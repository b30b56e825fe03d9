"""`Domain`: the interface of an applied system to training, gates, reports and commands."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from rl_eval.errors import InputError, nearest

if TYPE_CHECKING:
    import gymnasium
    import numpy as np
    import typer
    from gymnasium.vector import VectorEnv

    from rl_eval.diagnostics import Diagnostic
    from rl_eval.domains.rows import RowReader
    from rl_eval.domains.text import TextObserver
    from rl_eval.metrics import Metric
    from rl_eval.policy import Policy
    from rl_eval.report.behaviour import Behaviour
    from rl_eval.report.figure import Figure
    from rl_eval.rewards import RewardFunction

# `train` is learned from, `validation` chooses between snapshots, `test` is what a gate plays.
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class RawField:
    """A field of the data that an observation was made of.

    Attributes:
        text: its value, as a person reads it.
        columns: the numbers of the observation that show it.
    """

    name: str
    text: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class SilentFeatures:
    """Fields of the data that no policy can learn from.

    Attributes:
        reasons: field -> why, in a few words.
        fields: how many fields there are, these included.
        advice: what to do where they are not expected to be silent, as a sentence; may be empty.
    """

    reasons: Mapping[str, str]
    fields: int
    advice: str = ""


class EnvConfig(BaseModel):
    """Which environment; a domain's own model adds its own keys, and refuses any other."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str


Config = TypeVar("Config", bound=EnvConfig)


class Domain(ABC, Generic[Config]):
    """One applied system: its environment, its data, and everything else that only it knows.

    A domain is a stateless object, found by an entry point of the group `rl_eval.domains` or registered with
    `rl_eval.domains.register`. Importing its module must be light: data and heavy libraries are loaded in the methods.
    Every optional part has a default, so the smallest domain has a name and `make`.

    Observations and actions may be of any Gymnasium space: flat ones can be trained on, all can be judged. A vector
    may say which actions are legal in `infos["action_mask"]`, bool `[N, A]`, on every reset and step.

    Attributes:
        name: as `env=<name>` and `env: <name>` write it.
        config_model: a frozen pydantic model with a `name`; its defaults are those of `conf/env/<name>.yaml`.
        has_candidates: whether an action is a position in a list that each observation fills again.
        has_cases: whether the data is a finite set of cases, each decided by one step. Evidence can then be about
            exactly this set, and the held-out guard compares cases. Needs `episodes`, `cases` and `case_hashes`.
        case_index: the fact that numbers the cases, if metrics stay valid when single cases are left out.
        location_keys: keys of the config for the location of data; not part of the environment's identity.
        execution_keys: keys for how it is stepped; not part of its identity.
        optional_keys: keys that are not part of its identity while they have their defaults.
        fitted_keys: keys for a preprocessing that was fitted elsewhere; not part of its identity. A gate takes them
            from the run that it judges. See `with_preprocessing`.
        held_out_facts: facts that the training part does not have, so that no reward can read them.
        extra_modules: modules of the extra with the domain's name; they show whether it is installed.
        baselines: name -> `build(config) -> Policy`, the policies that `baseline:<name>` can name; see `baseline`.
        shown_baselines: those that the report plays on the same episodes as the judged policy, for `figures`.
    """

    name: ClassVar[str]
    config_model: ClassVar[type[EnvConfig]] = EnvConfig
    has_candidates: ClassVar[bool] = False
    has_cases: ClassVar[bool] = False
    case_index: ClassVar[str | None] = None
    location_keys: ClassVar[tuple[str, ...]] = ()
    execution_keys: ClassVar[tuple[str, ...]] = ()
    optional_keys: ClassVar[tuple[str, ...]] = ()
    fitted_keys: ClassVar[tuple[str, ...]] = ()
    extra_modules: ClassVar[tuple[str, ...]] = ()
    held_out_facts: ClassVar[tuple[str, ...]] = ()
    baselines: ClassVar[Mapping[str, Callable[[Any], Policy]]] = {}
    shown_baselines: ClassVar[tuple[str, ...]] = ()

    # --- the environment ---------------------------------------------------------------------------

    @abstractmethod
    def make(self, config: Config, *, n_envs: int, part: Part, autoreset: bool = True) -> VectorEnv:
        """N copies of the environment, stepped as one, over one part of its data.

        `infos["outcome"]` is a dict of arrays `[N]` on every step. `autoreset=True` is Gymnasium's SAME_STEP, with
        `infos["final_obs"]` `[N, ...]`, valid where `infos["_final_obs"]` is set; for `train` it may be NEXT_STEP.
        `autoreset=False` is DISABLED: a copy whose episode ended stays idle until
        `reset(options={"reset_mask": mask})`. A vector over a finite part also reads `options["episode"]` `[N]`, the
        index of the episode that each copy will play, and `options["order"]`, the seed of their permutation.

        Where some Discrete actions are illegal at times, `infos["action_mask"]` (bool `[N, A]`, on reset and on every
        step) says which are legal in the observations returned. `infos["final_action_mask"]` says the same of
        `final_obs`.

        A vector that gives and takes its state (`get_state`, `set_state`) is an `rl_eval.envs.StatefulVector`; runs
        then resume exactly at every point. One whose actions are priorities is an `rl_eval.envs.RankingVector`. Its
        attribute `backend` says what steps the copies; default: `native`.

        `rl_eval.envs.gymnasium_vector.GymnasiumVector` and `rl_eval.envs.native_vector.NativeVector` keep all this.
        What a vector returns is checked against its spaces on every step.

        Raises:
            InputError: data that is missing or damaged, or an environment that cannot be made.
        """

    def needs_trust(self, config: Config) -> str | None:
        """Why a config from somebody else needs trust, as the beginning of a sentence; None if it does not."""
        return None

    def code_identity(self, config: Config) -> str | None:
        """What the environment consists of, except for its config, data, this package and installed packages.

        None where code takes part that no version covers: verdicts on it are not cached.
        """
        return ""

    def baseline(self, name: str, config: Config) -> Policy:
        """The policy of `baseline:<name>`; a domain may read more than the names of `baselines`, such as settings.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.baselines:
            choices = f"it has {', '.join(self.baselines)}" if self.baselines else "it has none"
            raise InputError(
                f"baseline:{name} is not a baseline of {self.name}: {nearest(name, self.baselines)}{choices}"
            )
        return self.baselines[name](config)

    def notes(self, config: Config) -> Sequence[str]:
        """Sentences on what the config leaves to a default that matters; train.py prints them."""
        return ()

    def reward_notes(self, config: Config, reward: RewardFunction) -> Sequence[str]:
        """Sentences on a reward that does not fit what the environment is judged by; train.py prints them."""
        return ()

    def not_repeatable(self, config: Config) -> str | None:
        """Why training on it again gives other bytes, as the end of a sentence; None if it gives the same."""
        return None

    def in_one_process(self, config: Config) -> Config:
        """The same environment, stepped by the calling process only."""
        return config

    def most_copies(self, config: Config) -> int:
        """The most copies that are worth stepping together.

        Environments stepped one by one in Python gain nothing from many, since the last episodes then have a long tail.
        """
        return 256

    def is_slow(self, config: Config) -> bool:
        """Whether an action takes so long that reports and diagnostics play few episodes, and no baselines."""
        return False

    def longest_episode(self, config: Config) -> int | None:
        """The most steps of an episode; None if the config does not tell."""
        return None

    def renderer(self, config: Config) -> gymnasium.Env | None:
        """One copy that draws frames (`render_mode="rgb_array"`); None if the environment draws none."""
        return None

    def action_names(self, config: Config) -> Sequence[str]:
        """The names of the actions, in order; empty if they have none."""
        return ()

    # --- its data ----------------------------------------------------------------------------------

    def episodes(self, config: Config, part: Part) -> int | None:
        """Number of episodes of a part; None if it is unlimited."""
        return None

    def cases(self, config: Config, part: Part) -> int:
        """Number of cases of a part, R; only if `has_cases`."""
        raise self._undefined("cases")

    def describe_cases(self, config: Config, part: Part) -> str | None:
        """What the cases of a part are, in a few words that a verdict shows; None where their number says enough.

        Raises:
            InputError: data that is missing or damaged.
        """
        return None

    def case_hashes(self, config: Config, part: Part) -> np.ndarray:
        """One hash per case of its raw fields, uint64 `[R]`, equal if all fields are equal; only where `has_cases`."""
        raise self._undefined("case_hashes")

    def case_observations(self, config: Config, part: Part) -> np.ndarray:
        """Observations of the cases, `[R, D]`, in the order of `case_hashes`; only if `has_cases`."""
        raise self._undefined("case_observations")

    def case_fields(self, config: Config) -> Sequence[str] | None:
        """The raw field that each column of `case_observations` comes from, `[D]`; None: one field per column.

        The held-out guard calls cases that differ in one field near-duplicates.
        """
        return None

    def case_labels(self, config: Config, part: Part) -> np.ndarray | None:
        """The true answer of each case, integers `[R]`, in the order of `case_hashes`; None if there is none.

        Cases with equal fields and labels are copies, which evidence about future cases counts once.
        """
        return None

    def _undefined(self, method: str) -> InputError:
        return InputError(f"the domain {self.name!r} has has_cases = True and no method {method}: define it")

    def independent_cases(self, config: Config) -> bool | None:
        """Whether a decision on one case does not affect any other; None if that is not known.

        Evidence over single cases needs it. Without it the unit is the episode.
        """
        return None

    def earlier_splits(self, config: Config, count: int) -> Sequence[Config] | None:
        """Up to `count` configs that split the data before the test part earlier; None: it has no order of time.

        The training part of each comes before its validation part. These follow one another up to the test part of
        `config`.
        """
        return None

    def fingerprints(self, config: Config) -> Mapping[str, str]:
        """Part -> SHA-256 of its data; empty if the data is drawn again from seeds.

        The order of rows should not count where they are a set: a file that is only sorted again holds the same data.
        """
        return {}

    def episodes_identity(self, config: Config) -> str:
        """What decides, together with a seed, which episode is played: a text, equal for equal episodes.

        The ledger counts the policies that were judged on the episodes of one identity and gate seed.
        """
        left_out = {*self.location_keys, *self.execution_keys, *self.fitted_keys}
        return json.dumps(config.model_dump(mode="json", exclude=left_out), sort_keys=True)

    def own_modules(self, config: Config) -> Sequence[str]:
        """The modules of a person's own that the environment is made of; their code is part of what values mean."""
        return ()

    def data_files(self, config: Config) -> Sequence[Path]:
        """The files that its data is read from; empty if there is none, or where some of it comes over a network.

        A suite can pin their bytes.

        Raises:
            InputError: the data does not exist.
        """
        return ()

    def preprocessing(self, config: Config) -> Mapping[str, Any] | None:
        """How observations are made from raw fields, fitted on `train`, as JSON; None if nothing is fitted."""
        return None

    def with_preprocessing(self, config: Config, preprocessing: Mapping[str, Any] | None) -> Config:
        """The same environment with observations that mean what they mean in another run.

        A run with `init=` needs this, because it starts from weights that were trained on those observations. A domain
        that can apply a preprocessing to other data keeps it in one of its `fitted_keys`; it then applies everywhere
        that this config is used. By default the config is returned where `preprocessing(config)` is the same.

        Args:
            config: of the new run.
            preprocessing: `preprocessing.json` of the other run, unchecked; None if it has none.

        Raises:
            InputError: the observations cannot be made so; says what differs.
        """
        if (difference := self._other_preprocessing(config, preprocessing)) is not None:
            raise InputError(
                f"the observations of env={self.name} are made differently than in that run (preprocessing.json "
                f"differs in {difference}): use the same data and env keys"
            )
        return config

    def silent_features(self, preprocessing: Mapping[str, Any]) -> SilentFeatures:
        """The fields that never differ in training or are left out, from `preprocessing.json` only.

        By default those that it lists as `constant`, of its `features` or `columns`.

        Args:
            preprocessing: of a run, unchecked; empty if it has none.
        """
        listed = {key: preprocessing.get(key) for key in ("constant", "features", "columns")}
        names = {key: value if isinstance(value, list | tuple) else [] for key, value in listed.items()}
        reasons = {name: "constant" for name in names["constant"] if isinstance(name, str)}
        return SilentFeatures(reasons, len(names["features"] or names["columns"]) or len(reasons))

    def raw_fields(self, preprocessing: Mapping[str, Any], observation: np.ndarray) -> Sequence[RawField] | None:
        """The fields of the data that an observation was made of; None where they cannot be told.

        Args:
            preprocessing: `preprocessing.json` of a run, unchecked.
            observation: `[D]`.

        Raises:
            InputError: the preprocessing is damaged.
        """
        return None

    def _other_preprocessing(self, config: Config, preprocessing: Mapping[str, Any] | None) -> str | None:
        """The first key where a preprocessing differs from the one of this config; None if it is the same."""
        expected = json.loads(json.dumps(self.preprocessing(config) or {}))
        other = dict(preprocessing or {})
        keys = [key for key in {**expected, **other} if key != "schema" and expected.get(key) != other.get(key)]
        return keys[0] if keys else None

    # --- what it is judged by ----------------------------------------------------------------------

    def facts(self, config: Config) -> Sequence[str]:
        """Names of the facts in `infos["outcome"]`, each `[N]` on every step; metrics and rewards read them."""
        return ("native_reward",)

    def measured_facts(self, config: Config) -> Sequence[str]:
        """Those that a clock measures, so that they differ where the same episode is played again."""
        return ()

    def validation_metric(self, config: Config) -> str:
        """The task metric that chooses between snapshots where a run's config names none."""
        return "mean_return"

    def default_criteria(self, config: Config) -> Mapping[str, Mapping[str, Any]]:
        """What a run is judged by where no suite is for its environment: criteria of a suite, by their names.

        They compare it with baselines that this data has. By default there are none, and the run is not judged.
        """
        return {}

    def metrics(self) -> Sequence[Metric]:
        """Metrics of its own; see `rl_eval.metrics.metric`."""
        return ()

    def diagnostics(self) -> Sequence[Diagnostic]:
        """Diagnostics of its own runs; see `rl_eval.diagnostics.diagnostic`."""
        return ()

    def figures(self, behaviour: Behaviour) -> Sequence[Figure]:
        """Charts and tables of its own for the report on a run, from episodes of the judged policy."""
        return ()

    # --- what people and programs call -------------------------------------------------------------

    def rows(self, config: Config, preprocessing: Mapping[str, Any]) -> RowReader | None:
        """A reader of new data for `rl-eval score`; None where single rows of data are not decided on.

        Args:
            config: of the run whose policy decides.
            preprocessing: `preprocessing.json` of that run, unchecked.

        Raises:
            InputError: the preprocessing is damaged, or decisions on rows depend on each other.
        """
        return None

    def commands(self) -> typer.Typer | None:
        """Its own commands: `rl-eval <name> …`."""
        return None

    def text_observer(self, config: Config, preprocessing: Mapping[str, Any]) -> TextObserver | None:
        """How the policy server reads texts as observations; None where observations are not embeddings of texts.

        Args:
            config: of the run that is served.
            preprocessing: `preprocessing.json` of that run, unchecked.

        Raises:
            InputError: the preprocessing is damaged, or the encoder is not here.
        """
        return None

    def routes(self, config: Config, preprocessing: Mapping[str, Any]) -> Any:
        """A FastAPI router of its own, which a policy server mounts at its root next to its own; None: no routes.

        A handler may raise `InputError`, which is answered with status 422 and its sentence.

        Args:
            config: of the run that is served.
            preprocessing: `preprocessing.json` of that run, unchecked.
        """
        return None
