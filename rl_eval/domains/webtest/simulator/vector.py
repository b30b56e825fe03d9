"""The vector environment: N builds of applications at once, stepped with array operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.exploration import BACK, START, Caused, Exploration, Shown
from rl_eval.domains.webtest.observation import CANDIDATE_FIXED, PAGE_FIXED, C, P
from rl_eval.domains.webtest.page import SEVERITY, VALUE_KINDS
from rl_eval.domains.webtest.simulator.application import HELD_OUT
from rl_eval.domains.webtest.simulator.defects import KIND_OF
from rl_eval.domains.webtest.simulator.session import FIRST_FIELD, INDEX, QUANTITIES, largest_values
from rl_eval.domains.webtest.simulator.tables import ACTIONS, COLUMN, DEFECTS, EFFECTS, SITES, STATES, Pool
from rl_eval.envs.native_vector import NativeVector
from rl_eval.hashing import mix64

LARGEST = 100.0  # of an observation
HISTORY = 8  # pages that back can return to
TIME_OUT_S = 10.0
_LOGGED_IN, _CART, _WENT_BACK, _REPEATS = (INDEX[name] for name in ("logged_in", "cart", "went_back", "repeats"))
_FIELD, _EXTERNAL, _SLOW = (COLUMN[name] for name in ("field", "external", "slow"))
_BADGE, _HAS_LOG_OUT = PAGE_FIXED.index("badge"), PAGE_FIXED.index("has_log_out")
# Of the template of each site, and for -1 at the end: whether the form is accepted anyway.
_ACCEPTS = np.array([*(kind == "broken_validation" for kind in KIND_OF), False])
_LARGEST = largest_values()
_KINDS = np.arange(len(VALUE_KINDS))
_SEVERITY = np.array([SEVERITY[kind] for kind in KIND_OF], np.float32)


class SimulatedVector(NativeVector):
    """Builds of generated applications as a vector environment; see `rl_eval.envs` for the contract.

    An episode is a build: an application of the part with a random subset of its defects on, both drawn from the seed
    of the episode. It ends after `env.max_actions` actions. In training, seeds come from a random stream.

    The default reward is the sum of severities of new failures.
    """

    arrays: tuple[str, ...] = ("episode", "application", "page", "history", "quantities", "last_form", "on", "idle")

    def __init__(self, config: Config, *, n_envs: int, part: str, autoreset: bool = True):
        self.config, self.part, self._limit = config, part, config.candidates
        space = Box(-LARGEST, LARGEST, (P + self._limit * C,), np.float32)
        super().__init__(space, Discrete(self._limit), n_envs=n_envs, autoreset=autoreset)
        self._pool = Pool(config.data_seed, part, self._limit)
        self._rng = np.random.default_rng()
        self._memory = Exploration(n_envs, states=STATES, actions=ACTIONS, sites=SITES, max_actions=config.max_actions)
        self._episode = np.zeros(n_envs, np.uint64)  # the seed of each copy's episode
        self._application = np.zeros(n_envs, np.int64)
        self._row = np.zeros(n_envs, np.int64)  # of the tables
        self._page = np.zeros(n_envs, np.int64)
        self._history = np.zeros((n_envs, HISTORY), np.int64)  # pages before, the last one first
        self._quantities = np.zeros((n_envs, len(QUANTITIES)), np.int8)
        self._last_form = np.full(n_envs, -1, np.int64)
        self._on = np.zeros((n_envs, SITES), bool)
        self._shown: Shown
        self._begin(np.ones(n_envs, bool))

    def reset(self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None):
        """Start every copy, or those in `options["reset_mask"]`, on a new episode.

        Without autoreset the episode of a copy is that of its own seed and does not depend on the others.
        """
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)), bool)
        if seed is None or self.autoreset:
            if seed is not None:
                self._seed([seed] if isinstance(seed, int | np.integer) else [int(one) for one in seed])
            self._draw(mask)
        else:
            seeds = seed + self._copy if isinstance(seed, int | np.integer) else np.asarray(seed)
            self._play(mask, seeds, 0)
        self._idle[mask] = False
        return self._observe(), {"action_mask": self._action_mask()}

    def step(self, actions: np.ndarray):
        """One action of each copy; the outcome of an idle copy is meaningless.

        The facts are those of `Exploration.record`, and `action`, `role`, `value_kind` (-1: none), `state` (its number
        in the order of first visits), `defects` (how many are on), `reproducible` and `judgement` (0: nobody
        judged the failure), and `episode_end`.
        """
        actions = self._checked(actions)
        active = ~self._idle & (self._shown.actions[self._copy, actions] >= 0)  # an illegal action does nothing
        number = np.maximum(self._shown.actions[self._copy, actions], 0)
        caused = self._act(actions, number, active)
        self._shown = self._look()
        facts = self._memory.record(~self._idle, caused, self._shown)
        done = (self._memory.time >= self.config.max_actions) & ~self._idle
        outcome = {
            "action": actions.astype(np.int64),
            "role": self._role,
            "value_kind": self._kind,
            "state": self._memory.state_number[self._copy, self._shown.state].astype(np.int64),
            "defects": self._on.sum(axis=1),
            "reproducible": np.ones(self.num_envs, np.float32),
            "judgement": np.zeros(self.num_envs, np.int64),
            "episode_end": done,
            **facts,
        }
        infos: dict[str, Any] = {"outcome": outcome, **self._recorded(caused, outcome)}
        if done.any():
            infos["final_obs"], infos["_final_obs"] = self._observe(), done
            infos["final_action_mask"] = self._action_mask()
            if self.autoreset:
                self._draw(done)
            else:
                self._idle |= done
        infos["action_mask"] = self._action_mask()
        return self._observe(), outcome["severity"], np.zeros(self.num_envs, bool), done, infos

    def _recorded(self, caused: Caused, outcome: dict[str, np.ndarray]) -> dict[str, Any]:
        """What is done after an action was recorded and before the next page is looked at; gives further infos."""
        return {}

    def _act(self, actions: np.ndarray, number: np.ndarray, active: np.ndarray) -> Caused:
        """Do what the actions do in the applications, and say which failures showed."""
        tables, row, page, copy, session = self._pool.tables, self._row, self._page, self._copy, self._quantities
        does = tables.candidates[row, page, actions].astype(np.int64)  # [N, COLUMNS]
        field, external, slow = does[:, _FIELD], (does[:, _EXTERNAL] == 1) & active, (does[:, _SLOW] == 1) & active
        self._kind, self._role = does[:, COLUMN["kind"]], does[:, COLUMN["role"]]
        fills, submits = (field >= 0) & active, (does[:, COLUMN["submits"]] == 1) & active
        goes_back, restarts = active & (number == BACK), active & (number == START)
        works = active & (session[copy, does[:, COLUMN["needs"]]] >= 1) & ~external & ~slow
        session[:, _REPEATS] = np.where(submits & (number == self._last_form), session[:, _REPEATS], 0)
        kinds = session[:, FIRST_FIELD:]
        is_valid = ((tables.accepts[row, page] >> kinds) & 1).all(axis=1)
        slots = np.where((works & ~fills)[:, None], does[:, DEFECTS], -1)
        shows = self._shows(slots)
        accepted = works & (~submits | is_valid | (shows & _ACCEPTS[slots]).any(axis=1))
        target = np.where(accepted, does[:, COLUMN["target"]], does[:, COLUMN["otherwise"]])
        errors_shown = works & submits & ~accepted
        target = np.where(errors_shown, tables.errors[row, page], target)
        target = np.where(restarts, 0, np.where(goes_back, self._history[:, 0], target))
        moves = active & (target >= 0) & ~external & ~slow
        target, lost = self._land(slots, shows, np.where(moves, target, page))
        self._change(does, accepted & ~fills)
        sent = submits & accepted
        session[sent, _REPEATS] = np.minimum(session[sent, _REPEATS] + 1, _LARGEST[_REPEATS])
        self._last_form[sent] = number[sent]
        session[:, _WENT_BACK] = np.where(goes_back & tables.is_wizard[row, page], 1, session[:, _WENT_BACK])
        session[restarts, _WENT_BACK] = 0
        session[copy[lost[0]], lost[1]] = 0
        session[copy[fills], FIRST_FIELD + field[fills]] = self._kind[fills]
        entered = np.where(moves[:, None], tables.on_page[row, target], -1)
        shows_on_page = self._shows(entered)
        target, lost = self._land(entered, shows_on_page, target)
        session[copy[lost[0]], lost[1]] = 0
        leaves = moves | (target != page)
        session[leaves, FIRST_FIELD:] = 0
        left = leaves & ~goes_back
        self._history[left] = np.concatenate([page[left, None], self._history[left, :-1]], axis=1)
        self._history[goes_back] = np.roll(self._history[goes_back], -1, axis=1)
        self._history[goes_back, -1] = 0
        self._page = target
        sites = np.concatenate([np.where(shows, slots, -1), np.where(shows_on_page, entered, -1)], axis=1)
        seconds = np.where(slow, TIME_OUT_S, does[:, COLUMN["milliseconds"]] / 1000)
        return Caused(
            action=number,
            sites=sites.astype(np.int64),
            severity=_SEVERITY[np.maximum(sites, 0)],
            seeded=np.ones(sites.shape, np.int8),
            refused=external,
            timed_out=slow,
            errors_shown=errors_shown,
            seconds=seconds,
            traffic=tables.traffic[row, target],
        )

    def _shows(self, slots: np.ndarray) -> np.ndarray:
        """Whether the defects `[N, J]` (-1: none) are on, and the session is as they need it, bool `[N, J]`."""
        tables, row, session = self._pool.tables, self._row[:, None], self._quantities[:, None, :]
        low, high = tables.low[row, slots], tables.high[row, slots]
        in_session = ((low <= session) & (session <= high)).all(axis=2)
        return (slots >= 0) & self._on[self._copy[:, None], slots] & in_session

    def _land(
        self, slots: np.ndarray, shows: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Where defects that show lead to, `[N]`, and which quantities of which copies they lose."""
        if not shows.any():
            return target, (np.zeros(0, np.int64), np.zeros(0, np.int64))
        tables, row = self._pool.tables, self._row[:, None]
        lands = np.where(shows, tables.lands[row, slots], -1).max(axis=1)
        loses = np.where(shows, tables.loses[row, slots], -1)
        copies, places = np.nonzero(loses >= 0)
        return np.where(lands >= 0, lands, target), (copies, loses[copies, places].astype(np.int64))

    def _change(self, does: np.ndarray, works: np.ndarray) -> None:
        """The effects of actions `[N, COLUMNS]` on the session, where they work, bool `[N]`."""
        session = self._quantities
        for effect in range(EFFECTS):
            quantity, change, is_set = (does[:, COLUMN[f"{name}_{effect}"]] for name in ("changed", "change", "is_set"))
            copies = np.flatnonzero(works & (quantity >= 0))
            if len(copies):
                places = quantity[copies]
                old = np.where(is_set[copies] == 1, 0, session[copies, places])
                session[copies, places] = np.clip(old + change[copies], 0, _LARGEST[places])

    def _look(self) -> Shown:
        """The pages that the copies see."""
        tables, row, page, session = self._pool.tables, self._row, self._page, self._quantities
        does = tables.candidates[row, page]  # [N, K, COLUMNS]
        visible, logged_in = does[..., COLUMN["visible"]], session[:, _LOGGED_IN, None] == 1
        present = (visible == 0) | ((visible == 1) == logged_in)
        actions = np.where(present, does[..., COLUMN["number"]], -1).astype(np.int64)
        legal = actions >= 0
        if self.config.mask:
            legal &= does[..., COLUMN["destructive"]] == 0
        field, kinds = does[..., _FIELD], session[:, FIRST_FIELD:]
        held = kinds[self._copy[:, None], np.maximum(field, 0)]
        filled = (kinds[:, :, None] == _KINDS).sum(axis=1)
        filled[:, 0] = 0  # a field that was not filled holds a valid value
        return Shown(
            state=tables.state[row, page].astype(np.int64),
            actions=actions,
            legal=legal,
            holds=(field >= 0) & (held == does[..., COLUMN["kind"]]),
            filled=filled,
        )

    def _action_mask(self) -> np.ndarray:
        return self._shown.legal.copy()

    def _observe(self) -> np.ndarray:
        shown = self._shown
        observation = self._pool.tables.observations[self._row, self._page]
        page = observation[:, :P]
        page[:, _HAS_LOG_OUT] = self._quantities[:, _LOGGED_IN]
        page[:, _BADGE] = self._quantities[:, _CART] / 4
        page[:, len(PAGE_FIXED) :] = self._memory.page_columns(shown)
        rows = observation[:, P:].reshape(self.num_envs, self._limit, C)
        rows[..., len(CANDIDATE_FIXED) :] = self._memory.candidate_columns(shown)
        rows[shown.actions < 0] = 0.0
        return observation

    def _begin(self, mask: np.ndarray) -> None:
        """Open the first page of the applications of some copies, bool `[N]`, whose episodes are set."""
        count = self.config.applications if self.part == "train" else HELD_OUT
        self._application[mask] = (mix64(self._episode[mask]) % np.uint64(count)).astype(np.int64)
        self._row[mask] = self._pool.rows(self._application[mask])
        sites = mix64(self._episode[mask][:, None] ^ mix64(np.arange(SITES).astype(np.uint64) + np.uint64(1)))
        chance = (sites >> np.uint64(11)).astype(np.float64) * 2.0**-53
        self._on[mask] = self._pool.tables.possible[self._row[mask]] & (chance < self.config.defect_share)
        self._page[mask], self._history[mask], self._last_form[mask] = 0, 0, -1
        self._quantities[mask] = 0
        self._quantities[mask, 0] = 1  # always
        self._shown = self._look()
        self._memory.start(mask, self._shown)

    def _seed(self, entropy: list[int]) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(entropy))

    def _draw(self, mask: np.ndarray) -> None:
        """Start the next episodes of the random stream."""
        self._episode[mask] = self._rng.integers(2**31, size=int(mask.sum())).astype(np.uint64)
        self._begin(mask)

    def _play(self, mask: np.ndarray, episodes: np.ndarray, order: int) -> None:
        """Start the episodes of the given seeds, `[N]`."""
        self._episode[mask] = episodes[mask].astype(np.uint64)
        self._begin(mask)

    def get_state(self) -> dict[str, Any]:
        """The state that determines all later steps, as arrays and JSON values."""
        memory = {f"memory_{name}": array for name, array in self._memory.get_state().items()}
        return {**super().get_state(), **memory, "rng": self._rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called.

        Raises:
            ValueError: a state of another shape.
        """
        super().set_state(state)
        prefix = "memory_"
        self._memory.set_state({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        self._row = self._pool.rows(self._application)
        self._rng.bit_generator.state = state["rng"]
        self._shown = self._look()
