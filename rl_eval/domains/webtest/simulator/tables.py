"""Applications as arrays: one row per application, padded to the largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.domains.webtest.exploration import BACK, START
from rl_eval.domains.webtest.observation import CANDIDATE_FIXED, PAGE_FIXED, C, P, candidate_fixed, page_fixed
from rl_eval.domains.webtest.page import BACK as BACK_CANDIDATE
from rl_eval.domains.webtest.page import ROLES, VALUE_KINDS, Candidate, Page, candidates
from rl_eval.domains.webtest.page import START as START_CANDIDATE
from rl_eval.domains.webtest.simulator.application import draw_application
from rl_eval.domains.webtest.simulator.blueprint import Blueprint, Control, accepted_bits
from rl_eval.domains.webtest.simulator.defects import TEMPLATES
from rl_eval.domains.webtest.simulator.session import FIELDS, INDEX, QUANTITIES

PAGES, STATES, ACTIONS = 72, 72, 512  # of an application at most
SITES = len(TEMPLATES)  # the site of a defect is the number of its template
ON_ACTION, ON_PAGE = 4, 4  # defects that one action, or one page, can show
EFFECTS = 2
# What a candidate is and does, as whole numbers. `number`: the action that it is, -1 if there is no candidate.
# `target`, `otherwise`: pages, -1: it stays. `needs`: the quantity that must be at least 1. `changed`, `change`,
# `is_set`: an effect on a quantity (-1: none). `field`, `kind`: what it fills, -1: nothing. `visible`: 0 always, 1
# logged in, 2 logged out. `milliseconds`: that it takes. `defect`: templates of defects that it may show, -1: none.
COLUMNS = (
    "number", "role", "target", "otherwise", "needs", "field", "kind", "submits", "external", "slow", "destructive",
    "visible", "milliseconds",
    *(f"{name}_{effect}" for effect in range(EFFECTS) for name in ("changed", "change", "is_set")),
    *(f"defect_{index}" for index in range(ON_ACTION)),
)  # fmt: skip
COLUMN = {name: index for index, name in enumerate(COLUMNS)}
DEFECTS = slice(COLUMN["defect_0"], COLUMN["defect_0"] + ON_ACTION)
_VISIBLE = {"always": 0, "logged_in": 1, "logged_out": 2}
_NONE_IS_MINUS_ONE = ("number", "target", "otherwise", "field", "kind", "changed", "defect")
_ABSENT = np.array([-(name.split("_")[0] in _NONE_IS_MINUS_ONE) for name in COLUMNS], np.int16)
DAMPING = 0.85  # of the walk of a user who gives up and starts again (Page et al. 1999)


@dataclass
class Tables:
    """A applications as arrays; pages by their index, candidates by page and place.

    Attributes:
        state, errors, traffic: `[A, P]` of pages; `errors` is the page with errors of its form.
        is_wizard: bool `[A, P]`.
        observations: float32 `[A, P, D]` of each page; 0 in the columns that depend on what was tried.
        accepts: `[A, P, FIELDS]` kinds of values that a field accepts, as bits; all where there is no field.
        candidates: int16 `[A, P, K, COLUMNS]`.
        on_page: `[A, P, ON_PAGE]` templates of defects that entering a page may show; -1: none.
        possible: bool `[A, SITES]` the defects that an application can have.
        low, high: `[A, SITES, Q]` bounds of quantities for a defect to show.
        lands, loses: `[A, SITES]` the page and the quantity that a defect leads to and loses; -1: none.
    """

    state: np.ndarray
    errors: np.ndarray
    traffic: np.ndarray
    is_wizard: np.ndarray
    observations: np.ndarray
    accepts: np.ndarray
    candidates: np.ndarray
    on_page: np.ndarray
    possible: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lands: np.ndarray
    loses: np.ndarray

    @classmethod
    def empty(cls, count: int, limit: int) -> Tables:
        """Tables for `count` applications with `limit` candidates per page."""
        page, defect = (count, PAGES), (count, SITES)
        return cls(
            state=np.zeros(page, np.int16),
            errors=np.full(page, -1, np.int16),
            traffic=np.zeros(page, np.float32),
            is_wizard=np.zeros(page, bool),
            observations=np.zeros((*page, P + limit * C), np.float32),
            accepts=np.full((*page, FIELDS), 255, np.uint8),
            candidates=np.tile(_ABSENT, (*page, limit, 1)),
            on_page=np.full((*page, ON_PAGE), -1, np.int16),
            possible=np.zeros(defect, bool),
            low=np.zeros((*defect, len(QUANTITIES)), np.int8),
            high=np.full((*defect, len(QUANTITIES)), 127, np.int8),
            lands=np.full(defect, -1, np.int16),
            loses=np.full(defect, -1, np.int8),
        )

    def grown(self, count: int, limit: int) -> Tables:
        """The same applications, with room for `count`."""
        larger = Tables.empty(count, limit)
        for name, array in vars(self).items():
            getattr(larger, name)[: len(array)] = array
        return larger


class Pool:
    """The applications of a part, drawn when they are first played.

    Attributes:
        tables: of those drawn so far, in the order of first use.
    """

    def __init__(self, data_seed: int, part: str, limit: int):
        self._data_seed, self._part, self._limit = data_seed, part, limit
        self._row: dict[int, int] = {}
        self.tables = Tables.empty(8, limit)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The rows of applications in the tables, `[M]`."""
        for index in indices.tolist():
            if index not in self._row:
                row = len(self._row)
                if row == len(self.tables.state):
                    self.tables = self.tables.grown(2 * row, self._limit)
                write(draw_application(self._data_seed, self._part, index), self.tables, row, self._limit)
                self._row[index] = row
        return np.array([self._row[index] for index in indices.tolist()], np.int64)


def write(plan: Blueprint, tables: Tables, row: int, limit: int) -> None:
    """Put an application into a row of tables.

    Raises:
        ValueError: it is larger than tables allow.
    """
    if len(plan.pages) > PAGES:
        raise ValueError(f"the application {plan.name} has {len(plan.pages)} pages: tables have {PAGES}")
    states = {state: index for index, state in enumerate(dict.fromkeys(page.state for page in plan.pages))}
    actions = _Actions(plan)
    for index, page in enumerate(plan.pages):
        tables.state[row, index] = states[page.state]
        tables.errors[row, index] = -1 if page.errors is None else page.errors
        tables.is_wizard[row, index] = page.is_wizard
        for place, entry in enumerate(page.fields):
            tables.accepts[row, index, place] = accepted_bits(entry)
        elements = tuple(control.element for control in page.controls)
        shown = Page(page.state, page.title, page.text, elements, page.status, page.shows_errors)
        observation = tables.observations[row, index]
        observation[: len(PAGE_FIXED)] = page_fixed(shown)
        options = candidates(shown, limit)
        controls = {control.element.key: control for control in page.controls}
        columns = np.array([actions.columns(option, controls.get(option.element.key)) for option in options])
        fixed = np.array([actions.fixed[option.key] for option in options])
        own = len(options) - 2  # the browser's own come last
        for places, part in ((slice(0, own), slice(0, own)), (slice(limit - 2, limit), slice(own, own + 2))):
            tables.candidates[row, index, places] = columns[part]
            observation[P:].reshape(limit, C)[places, : len(CANDIDATE_FIXED)] = fixed[part]
    tables.traffic[row, : len(plan.pages)] = traffic(plan)
    for defect in plan.defects:
        site = TEMPLATES.index(defect.template)
        tables.possible[row, site] = True
        for name, (low, high) in defect.when.items():
            tables.low[row, site, INDEX[name]], tables.high[row, site, INDEX[name]] = low, high
        tables.lands[row, site] = -1 if defect.lands is None else defect.lands
        tables.loses[row, site] = -1 if defect.loses is None else INDEX[defect.loses]
        if defect.page is not None:
            _append(tables.on_page[row, defect.page], site)


class _Actions:
    """The actions of an application: their numbers, their fixed columns, and the defects that they may show."""

    def __init__(self, plan: Blueprint):
        self.numbers = {BACK_CANDIDATE.key: BACK, START_CANDIDATE.key: START}
        self.fixed: dict[str, np.ndarray] = {}
        self._defects: dict[str, list[int]] = {}
        for defect in plan.defects:
            if defect.action is not None:
                self._defects.setdefault(defect.action, []).append(TEMPLATES.index(defect.template))

    def columns(self, option: Candidate, control: Control | None) -> list[int]:
        """The columns `COLUMNS` of a candidate; without a control it is the browser's own."""
        key = option.key
        if key not in self.fixed:
            self.fixed[key] = candidate_fixed(option)
        number = self.numbers.setdefault(key, len(self.numbers))
        role = ROLES.index(option.element.role)
        if control is None:
            control = _BROWSER
        fills = control.field is not None and option.value_kind is not None
        defects = self._defects.get(key, [])
        if len(defects) > ON_ACTION:
            raise ValueError(f"{key} may show {len(defects)} defects: tables have {ON_ACTION}")
        effects = [
            value for effect in control.effects for value in (INDEX[effect.quantity], effect.value, int(effect.is_set))
        ]
        return [
            number,
            role,
            -1 if control.target is None else control.target,
            -1 if control.otherwise is None else control.otherwise,
            INDEX[control.needs or "always"],
            control.field if fills and control.field is not None else -1,
            VALUE_KINDS.index(option.value_kind) if option.value_kind is not None else -1,
            int(control.is_submit),
            int(control.is_external),
            int(control.times_out),
            int(control.element.destructive),
            _VISIBLE[control.visible],
            round(1000 * control.seconds),
            *effects,
            *[-1, 0, 0] * (EFFECTS - len(control.effects)),
            *defects,
            *[-1] * (ON_ACTION - len(defects)),
        ]


_BROWSER = Control(BACK_CANDIDATE.element, seconds=0.1)


def _append(slots: np.ndarray, site: int) -> None:
    free = np.flatnonzero(slots < 0)
    if not len(free):
        raise ValueError(f"{TEMPLATES[site]} is one defect too many of its page")
    slots[free[0]] = site


def traffic(plan: Blueprint) -> np.ndarray:
    """The share of users who come by each page, relative to the most visited one, `[P]`; PageRank of the links."""
    count = len(plan.pages)
    walk = np.zeros((count, count))
    for page, shown in enumerate(plan.pages):
        for control in shown.controls:
            if control.target is not None and not control.element.destructive:
                walk[page, control.target] += 2.0 if control.element.place in ("main", "form") else 1.0
    totals = walk.sum(axis=1, keepdims=True)
    walk = np.divide(walk, totals, out=np.zeros_like(walk), where=totals > 0)
    share = np.zeros(count)
    share[0] = 1.0
    for _ in range(30):
        moved = DAMPING * share @ walk
        moved[0] += 1.0 - moved.sum()
        share = moved
    return (share / share.max()).astype(np.float32)
