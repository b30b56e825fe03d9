"""`BrowserVector`: N testers in Chromium as a vector environment."""

from __future__ import annotations

import asyncio
import atexit
import itertools
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_eval.domains.webtest.browser.chromium import Chromium
from rl_eval.domains.webtest.browser.episode import LARGEST, Episode, caused, memory_of, observations, shown
from rl_eval.domains.webtest.browser.tester import WHOLE_S, Tester
from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.exploration import Shown
from rl_eval.domains.webtest.judgements import read_judgements
from rl_eval.domains.webtest.observation import C, P
from rl_eval.domains.webtest.page import ROLES, VALUE_KINDS, ActionResult, Candidate, Element, Failure, Page
from rl_eval.domains.webtest.shop import COPY_HEADER, DEFECT_IDS, Shop, defect_of, start
from rl_eval.hashing import mix64

AT_ONCE = 4  # testers that act at one time; more would wait for the processor
FIRST_S = 60.0  # for the first page of the shop, which answers for certain, but not soon on a busy machine
VALUES = {"code": "WELCOME10"}  # of the shop
_NAMES = itertools.count()
_NOTHING = Page("", "", "", ())


@lru_cache(maxsize=1)
def shared_chromium() -> Chromium:
    """The browser of this process."""
    chromium = Chromium()
    atexit.register(chromium.close)
    return chromium


@lru_cache(maxsize=1)
def shared_shop() -> Shop:
    """The embedded shop of this process, with branch coverage."""
    shop = start(branches=True)
    atexit.register(shop.close)
    return shop


class BrowserVector(VectorEnv):
    """Testers of one application, each in a browser context of its own.

    On the embedded shop an episode is a build: a random subset of the defects, drawn from the seed of the episode, with
    the data of the start. On any other application nothing is known of defects, and its state is its own.
    """

    backend = "chromium"

    def __init__(self, config: Config, *, n_envs: int, part: str, autoreset: bool = True):
        self.config, self.part, self.autoreset, self.num_envs = config, part, autoreset, n_envs
        self.single_observation_space = Box(-LARGEST, LARGEST, (P + config.candidates * C,), np.float32)
        self.single_action_space = Discrete(config.candidates)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)
        mode = AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED
        self.metadata = {"render_modes": [], "autoreset_mode": mode}
        self._chromium = shared_chromium()
        self._shop = shared_shop() if config.base_url is None else None
        self._names = [str(next(_NAMES)) for _ in range(n_envs)]
        base_url = config.base_url or f"{shared_shop().base_url}/"
        self._testers = [
            Tester(
                self._chromium, base_url, timeout_s=config.timeout_s, first_s=FIRST_S if self._shop else None,
                values=VALUES if self._shop else None, headers={COPY_HEADER: name} if self._shop else None,
            )
            for name in self._names
        ]  # fmt: skip
        self._judgements = {} if config.judgements is None else read_judgements(Path(config.judgements))
        self._rng = np.random.default_rng()
        self._on: list[frozenset[str]] = [frozenset()] * n_envs
        self._first_branches = np.zeros(n_envs, np.int64)
        self._memory = memory_of(n_envs, config.max_actions)
        self._episodes = [Episode(config.max_actions) for _ in range(n_envs)]
        self._idle = np.ones(n_envs, bool)
        self._shown: Shown

    def reset(self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None):
        """Start every copy, or those in `options["reset_mask"]`, on a new episode.

        Raises:
            InputError: the application does not answer.
        """
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)), bool)
        copies = np.arange(self.num_envs)
        if seed is None or self.autoreset:
            if seed is not None:
                entropy = [seed] if isinstance(seed, int | np.integer) else [int(one) for one in seed]
                self._rng = np.random.default_rng(np.random.SeedSequence(entropy))
            seeds = self._rng.integers(2**31, size=self.num_envs)
        else:
            seeds = seed + copies if isinstance(seed, int | np.integer) else np.asarray(seed)
        self._begin(mask, seeds)
        return self._observe(), {"action_mask": self._shown.legal.copy()}

    def _begin(self, mask: np.ndarray, seeds: np.ndarray) -> None:
        copies = np.flatnonzero(mask).tolist()
        for copy in copies:
            self._episodes[copy] = Episode(self.config.max_actions)
            if self._shop is not None:
                self._on[copy] = defects_of(int(seeds[copy]), self.config.defect_share)
                self._shop.start_episode(self._on[copy], self._names[copy])
        results = self._together([self._testers[copy].start for copy in copies])
        for copy, result in zip(copies, results, strict=True):
            self._see(copy, result.page)
            if self._shop is not None:
                self._first_branches[copy] = self._shop.branches(self._names[copy]).taken
        for copy in range(self.num_envs):
            if not mask[copy] and not self._episodes[copy].options:  # not started yet
                self._episodes[copy].page = _NOTHING
        self._idle[mask] = False
        self._shown = self._look()
        self._memory.start(mask, self._shown)

    def step(self, actions: np.ndarray):
        """One action of each copy; the outcome of an idle copy is meaningless.

        The facts are those of the simulator, and on the embedded shop `branches`: the share of its branches that ran
        at the end of an episode, without those that the first page takes; before the end 0.
        """
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= self.config.candidates:
            raise ValueError(f"actions must be {self.num_envs} integers from 0 to {self.config.candidates - 1}")
        chosen: list[Candidate | None] = [None] * self.num_envs
        for copy, action in enumerate(actions.tolist()):
            # An illegal action does nothing.
            if not self._idle[copy] and self._shown.legal[copy, action]:
                chosen[copy] = self._episodes[copy].options[action]
        results = [ActionResult(episode.page) for episode in self._episodes]
        acting = [copy for copy, candidate in enumerate(chosen) if candidate is not None]
        came = self._together([partial(self._testers[copy].act, chosen[copy]) for copy in acting])  # type: ignore[arg-type]
        for copy, result in zip(acting, came, strict=True):
            results[copy] = self._with_truth(copy, result)
            self._see(copy, result.page)
        effects = caused(self._episodes, chosen, results)
        self._shown = self._look()
        active = ~self._idle
        facts = self._memory.record(active, effects, self._shown)
        done = (self._memory.time >= self.config.max_actions) & active
        outcome = {
            "action": actions.astype(np.int64),
            "role": np.array([ROLES.index(one.element.role) if one else -1 for one in chosen]),
            "value_kind": np.array(
                [VALUE_KINDS.index(one.value_kind) if one and one.value_kind else -1 for one in chosen]
            ),
            "state": self._memory.state_number[np.arange(self.num_envs), self._shown.state].astype(np.int64),
            "defects": np.array([len(on) for on in self._on]),
            "reproducible": np.ones(self.num_envs, np.float32),
            "judgement": np.array([self._judgement(result) for result in results], np.int64),
            "episode_end": done,
            **facts,
        }
        if self._shop is not None:
            outcome["branches"] = self._branches(done)
        infos: dict[str, Any] = {"outcome": outcome}
        if done.any():
            infos["final_obs"], infos["_final_obs"] = self._observe(), done
            infos["final_action_mask"] = self._shown.legal.copy()
            if self.autoreset:
                self._begin(done, self._rng.integers(2**31, size=self.num_envs))
            else:
                self._idle |= done
        infos["action_mask"] = self._shown.legal.copy()
        return self._observe(), outcome["severity"], np.zeros(self.num_envs, bool), done, infos

    def _with_truth(self, copy: int, result: ActionResult) -> ActionResult:
        """The same, with whether each failure is a defect of the build."""
        if self._shop is None:
            return result
        known = tuple(
            Failure(one.kind, one.site, defect_of(one.kind, one.site) in self._on[copy]) for one in result.failures
        )
        return ActionResult(result.page, known, result.refused, result.timed_out, result.seconds, result.traffic)

    def _judgement(self, result: ActionResult) -> int:
        """Judgements of people about the failures of an action: 1: keep one, -1: dismiss all."""
        judgements = [self._judgements.get(f"{one.kind} {one.site}") for one in result.failures]
        return 1 if "keep" in judgements else -1 if judgements and set(judgements) == {"dismiss"} else 0

    def _branches(self, done: np.ndarray) -> np.ndarray:
        shares = np.zeros(self.num_envs, np.float32)
        for copy in np.flatnonzero(done).tolist():
            assert self._shop is not None
            ran, first = self._shop.branches(self._names[copy]), self._first_branches[copy]
            shares[copy] = (ran.taken - first) / max(ran.total - first, 1)
        return shares

    def _together(self, work: Sequence[Callable[[], Coroutine[Any, Any, ActionResult]]]) -> list[ActionResult]:
        """The results of what testers do, a few of them at one time; what an interrupt comes before is not begun."""

        async def run() -> list[ActionResult]:
            gate = asyncio.Semaphore(AT_ONCE)

            async def one(part: Callable[[], Coroutine[Any, Any, ActionResult]]) -> ActionResult:
                async with gate:
                    return await part()

            return list(await asyncio.gather(*map(one, work)))

        return self._chromium.run(run(), 3 * WHOLE_S * (1 + len(work) // AT_ONCE))

    def _see(self, copy: int, page: Page) -> None:
        self._episodes[copy].see(
            page, self._testers[copy].found, self.config.candidates, self._memory, copy, self._legal
        )

    def _legal(self, element: Element) -> bool:
        return not (self.config.mask and element.destructive)

    def _look(self) -> Shown:
        return shown(self._episodes, self.config.candidates, self._legal)

    def _observe(self) -> np.ndarray:
        return observations(self._episodes, self.config.candidates, self._memory, self._shown)

    def close_extras(self, **kwargs: Any) -> None:
        """End the contexts; browser and shop go on for other vectors of the process."""
        for tester in self._testers:
            self._chromium.run(tester.close(), WHOLE_S)


def _kind(candidate: Candidate | None) -> int:
    """The number of the kind of value that is filled in; -1: none."""
    return VALUE_KINDS.index(candidate.value_kind) if candidate and candidate.value_kind else -1


def defects_of(seed: int, share: float) -> frozenset[str]:
    """The defects of the build of an episode: each is on with a chance."""
    drawn = mix64(np.uint64(seed) ^ mix64(np.arange(len(DEFECT_IDS)).astype(np.uint64) + np.uint64(1)))
    chance = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return frozenset(name for name, value in zip(DEFECT_IDS, chance, strict=True) if value < share)
