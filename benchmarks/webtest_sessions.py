"""How many states of generated applications can be seen with one session, and with several at as many actions in all.

    python -m benchmarks.webtest_sessions [--applications 12] [--tries 6]

A planner that knows the application goes to the nearest state that nobody has seen. Sessions act in turn, and each
choice among equally near states is drawn at random, so an application is planned several times. No policy that has to
find out how an application is built can be expected to see more. What several sessions gain here shows the
worth of separate sessions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rl_eval.domains.webtest import Config
from rl_eval.domains.webtest.exploration import BACK, START
from rl_eval.domains.webtest.simulator.session import INDEX
from rl_eval.domains.webtest.simulator.tables import COLUMN, EFFECTS, Pool

BUDGETS = (18, 30, 60, 90)
FARTHEST = 8  # actions to a state at most
PIECES = 2  # in the cart that make a difference


@dataclass(frozen=True)
class Session:
    """What decides where the actions of a session lead: its page, the one before, log-in, cart, and a wrong value."""

    page: int = 0
    before: int | None = None
    logged_in: bool = False
    cart: int = 0
    is_wrong: bool = False  # whether the form on the page holds a value that it refuses

    def at(self, page: int, **changes) -> Session:
        """The session after a click that leads to a page."""
        before = self.page if page != self.page else self.before
        return Session(page, before, **{"logged_in": self.logged_in, "cart": self.cart, **changes})


class Plan:
    """One generated application, without defects, as a graph of sessions."""

    def __init__(self, pool: Pool, row: int):
        tables = pool.tables
        self.state: list[int] = tables.state[row].tolist()
        self._errors: list[int] = tables.errors[row].tolist()
        self._accepts: list[list[int]] = tables.accepts[row].tolist()
        self._candidates: list[list[list[int]]] = tables.candidates[row].tolist()
        self._moves: dict[Session, list[Session]] = {}

    @cached_property
    def states(self) -> int:
        """How many states can be seen at all."""
        reached, waiting = {Session()}, [Session()]
        while waiting:
            new = [one for one in self.moves(waiting.pop()) if one not in reached]
            reached.update(new)
            waiting += new
        return len({self.state[one.page] for one in reached})

    def moves(self, session: Session) -> list[Session]:
        """Where one action leads."""
        if session not in self._moves:
            after = (self._after(session, candidate) for candidate in self._candidates[session.page])
            self._moves[session] = list(dict.fromkeys(one for one in after if one is not None))
        return self._moves[session]

    def _after(self, session: Session, candidate: Sequence[int]) -> Session | None:
        does = dict(zip(COLUMN, candidate, strict=True))
        if does["number"] < 0 or does["destructive"] or does["external"] or does["slow"]:
            return None
        if does["visible"] and (does["visible"] == 1) != session.logged_in:
            return None
        if does["number"] == BACK:
            return None if session.before is None else Session(session.before, None, session.logged_in, session.cart)
        if does["number"] == START:
            return session.at(0)
        if does["field"] >= 0:
            is_refused = not self._accepts[session.page][does["field"]] >> does["kind"] & 1
            same = (session.page, session.before, session.logged_in, session.cart)
            return Session(*same, is_wrong=True) if is_refused else None
        if does["submits"] and session.is_wrong:
            return session.at(self._errors[session.page])
        needed = {INDEX["logged_in"]: session.logged_in, INDEX["cart"]: session.cart}
        works = bool(needed.get(does["needs"], True))
        target = does["target"] if works else does["otherwise"]
        return None if target < 0 else session.at(target, **(self._effects(session, does) if works else {}))

    @staticmethod
    def _effects(session: Session, does: dict[str, int]) -> dict[str, int | bool]:
        changes: dict[str, int | bool] = {}
        for effect in range(EFFECTS):
            quantity, change = does[f"changed_{effect}"], does[f"change_{effect}"]
            if quantity == INDEX["logged_in"]:
                changes["logged_in"] = change > 0
            elif quantity == INDEX["cart"]:
                old = 0 if does[f"is_set_{effect}"] else session.cart
                changes["cart"] = min(max(old + change, 0), PIECES)
        return changes

    def towards_new(self, session: Session, seen: set[int], choose: Callable[[int], int]) -> Session:
        """The session after the first action on a shortest way to a state that was not seen."""
        came_from: dict[Session, Session | None] = {session: None}
        layer = [session]
        for _ in range(FARTHEST):
            following: list[Session] = []
            for here in layer:
                for there in self.moves(here):
                    if there not in came_from:
                        came_from[there] = here
                        following.append(there)
            if goals := [one for one in following if self.state[one.page] not in seen]:
                goal = goals[choose(len(goals))]
                while (previous := came_from[goal]) != session and previous is not None:
                    goal = previous
                return goal
            layer = following
        return session


def states_seen(plan: Plan, sessions: int, actions: int, rng: np.random.Generator) -> np.ndarray:
    """States that were seen after each action, the first page not counted, `[actions]`."""
    testers, seen, curve = [Session()] * sessions, {plan.state[0]}, []
    for action in range(actions):
        turn = action % sessions
        testers[turn] = plan.towards_new(testers[turn], seen, lambda count: int(rng.integers(count)))
        seen.add(plan.state[testers[turn].page])
        curve.append(len(seen) - 1)
    return np.array(curve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Plan, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--applications", type=int, default=12, help="of the validation part")
    parser.add_argument("--tries", type=int, default=6, help="plans of an application")
    options = parser.parse_args(arguments)
    config = Config()
    pool = Pool(config.data_seed, "validation", config.candidates)
    plans = [Plan(pool, row) for row in pool.rows(np.arange(options.applications)).tolist()]
    print(f"states that can be seen: {np.mean([plan.states for plan in plans]):.1f}")
    curves = {
        sessions: np.array(
            [
                states_seen(plan, sessions, max(BUDGETS), np.random.default_rng([try_, index]))
                for index, plan in enumerate(plans)
                for try_ in range(options.tries)
            ]
        )
        for sessions in (1, 3)
    }
    for budget in BUDGETS:
        one, three = (curves[sessions][:, budget - 1] for sessions in (1, 3))
        longer = f", one with a third of it {curves[1][:, budget // 3 - 1].mean():.1f}"
        print(
            f"{budget} actions in all: one session {one.mean():.1f} states, three {three.mean():.1f} "
            f"({three.mean() / one.mean() - 1:+.1%}){longer}"
        )


if __name__ == "__main__":
    main()
