"""The status page and the review page: pure functions from figures to HTML."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from rl_eval import __version__
from rl_eval.cost import Cost, money_text
from rl_eval.formatting import escape_controls, percent, whole_words
from rl_eval.production.heartbeats import Kind
from rl_eval.production.review_queue import Review
from rl_eval.production.states import RUNNING
from rl_eval.production.watch.figures import PARTS, SHOWN_REVIEWS, Figures
from rl_eval.production.watch.observed import Observed
from rl_eval.report import charts, html_page

MOST_BUTTONS = 12  # actions; more are a list


@functools.cache
def _environment() -> jinja2.Environment:
    own = jinja2.PackageLoader("rl_eval.production.watch", "templates")
    base = html_page.environment()
    assert base.loader is not None
    templates = base.overlay(loader=jinja2.ChoiceLoader([own, base.loader]))
    templates.filters = {
        **base.filters, "moment": moment, "cost": _cost, "outcome": _outcome, "facts": _facts, "action": _action,
        "thousand": _thousand, "brief": _brief, "sentence": capitalised,
    }  # fmt: skip
    return templates


def render(template: str, /, **values: Any) -> str:
    """A page of this package or of `rl_eval.report`, without control characters; it needs a `title`."""
    page = _environment().get_template(template).render(version=__version__, contents=(), **values)
    return escape_controls(page, keep="\n\t")


def status_page(figures: Figures, steps: Sequence[float], *, shadow: bool = False, reload: bool = True) -> str:
    """The page on everything.

    Args:
        steps: shares of the roll-out, from the config.
        shadow: whether a roll-out begins with a shadow, from the config.
        reload: whether it is served, and not kept in a file.
    """
    title = f"{figures.name} in production"
    return render("status.html", title=title, reload=reload, **status_values(figures, steps, shadow))


def status_values(figures: Figures, steps: Sequence[float], shadow: bool) -> dict[str, Any]:
    """What the templates of the status page show."""
    return {
        "figures": figures,
        "parts": PARTS,
        "headline": headline(figures),
        "bound": bound_sentence(figures.bound),
        "processes": [(kind, PROCESSES[kind][0]) for kind in figures.alive],
        "loop_gone": _gone_sentence(figures, "loop"),
        "steps": _steps(figures, steps, shadow),
        "difference_chart": _difference_chart(figures),
        "improvement": _improvement(figures),
    }


def review_page(
    name: str,
    reviews: Sequence[Review],
    waiting: int,
    names: Sequence[str],
    observed: Observed,
    bound: Mapping[str, Any],
    message: str = "",
    kind: str = "PASS",
    offset: int = 0,
) -> str:
    """The page on what waits for a person.

    Args:
        waiting: how many wait in all.
        names: of the actions; empty where they have none.
        observed: how an observation is shown.
        bound: of review, as the control loop writes it; empty where there is none.
        message: about what was just sent.
        offset: how many that wait are on the pages before this one.
    """
    rows = [(review, *observed.shown(review.observation), _choices(review, names)) for review in reviews]
    values = {"reviews": rows, "waiting": waiting, "names": list(names), "message": message, "kind": kind,
              "offset": offset, "page": SHOWN_REVIEWS, "why": _why(bound)}  # fmt: skip
    return render("review.html", title=f"{name}: human review", **values)


def _why(bound: Mapping[str, Any]) -> str:
    """Why decisions are on the review page."""
    if not bound:
        return "No bound on confidence is calibrated now; what waits is from an earlier one."
    if bound["threshold"] is None:
        error = percent(bound["error"])
        return f"No bound on confidence keeps wrong decisions at {error}, so a person sees all, however confident."
    confidence = html_page.number(bound["threshold"], 3)
    return f"These decisions have no confidence above the calibrated bound, {confidence}."


def _choices(review: Review, names: Sequence[str]) -> list[tuple[int, str]]:
    """The actions that were legal, the policy's first; empty where there are too many for buttons, or none by name."""
    if not 0 < len(names) <= MOST_BUTTONS:
        return []
    legal = [n for n in range(len(names)) if review.legal is None or (n < len(review.legal) and review.legal[n])]
    return [(n, names[n]) for n in sorted(legal, key=lambda n: n != review.action)]


def headline(figures: Figures) -> dict[str, str]:
    """What the page says first: a word, a sentence, and the kind that colours it."""
    row, champion = figures.rollout, figures.champion
    if figures.faults:
        away = ", ".join(figures.faults)
        sentence = f"The {away} cannot be read. Servers go on with what they hold, and the roll-out holds."
        return {"kind": "FAIL", "word": "Partly blind", "sentence": sentence}
    if figures.full:
        sentence = f"The disk of {', '.join(figures.full)} is full, and decisions may be served without being recorded."
        return {"kind": "FAIL", "word": "Disk full", "sentence": f"{sentence} Make room; the processes then go on."}
    if figures.gone and champion is not None:
        return _gone(figures)
    if figures.not_recording:
        first, count = figures.not_recording[0], len(figures.not_recording)
        servers = f"{count} server{'s' if count > 1 else ''}"
        sentence = f"Since {moment(first.since)}, {servers} could not record the latest decisions: {first.reason}."
        return {"kind": "FAIL", "word": "Not recording", "sentence": f"{sentence} Training does not use them."}
    if figures.clock:
        sentence = f"{figures.clock[0].upper()}{figures.clock[1:]}. Collectors wait meanwhile."
        return {"kind": "FAIL", "word": "Clock in doubt", "sentence": sentence}
    if champion is None:
        sentence = "No version is the champion, so servers have nothing to serve: register a first one."
        return {"kind": "INCONCLUSIVE", "word": "Not begun", "sentence": sentence}
    if row.state == "pinned":
        return {"kind": "INCONCLUSIVE", "word": f"Pinned to version {row.target}", "sentence": row.reason}
    if row.state in RUNNING:
        share = "decides on all units without acting" if row.shadow else f"has {percent(row.share, 0)} of units"
        last = capitalised(figures.evidence[-1]["sentence"]) if figures.evidence else ""
        word = "Paused" if row.state == "paused" else "Rolling out"
        sentence = f"Champion {champion} serves; version {row.challenger} {share}. {last}"
        return {"kind": "INCONCLUSIVE", "word": word, "sentence": sentence}
    return {"kind": "PASS", "word": f"Version {champion} serves", "sentence": "All units get it."}


# Kind of process -> its name, what nobody does without one, and the command that starts one.
PROCESSES: Mapping[str, tuple[str, str, str]] = {
    "loop": ("control loop", "nobody trains, proves, promotes or rolls back", "run"),
    "server": ("server", "nobody decides", "serve"),
    "collector": ("collector", "decisions and rewards stay in the queue, and nothing counts them", "collect"),
}


def _gone(figures: Figures) -> dict[str, str]:
    names = [PROCESSES[kind][0] for kind in figures.gone]
    sentences = [sentence for kind in figures.gone if (sentence := _gone_sentence(figures, kind))]
    if "loop" in figures.gone and figures.rollout.state in RUNNING:
        sentences.append("The figures of the roll-out are as old.")
    return {"kind": "FAIL", "word": f"No {' and no '.join(names)}", "sentence": " ".join(sentences)}


def _gone_sentence(figures: Figures, kind: Kind) -> str:
    """What it means that no process of a kind is alive; empty where one is."""
    if kind not in figures.gone:
        return ""
    name, meaning, command = PROCESSES[kind]
    age = figures.alive[kind].age
    since = "has worked yet" if age is None else f"has worked for {html_page.duration(age)}"
    return f"No {name} {since}: {meaning}. Start one: rl-eval production {command} CONFIG."


def bound_sentence(bound: Mapping[str, Any]) -> str:
    """Which decisions a person sees, and what that was measured on."""
    if not bound:
        return "No bound is calibrated yet, so no decision goes to a person."
    known = (
        f"{html_page.count(bound['decisions'])} decisions of version {bound.get('champion', '–')} whose reward is known"
    )
    error = percent(bound["error"])
    if bound["threshold"] is None:
        return f"No bound on confidence keeps wrong decisions at {error} over {known}, so a person sees every decision."
    alone, wrong = bound["alone"], bound["wrong"]
    measured = f"of which {percent(wrong / alone)} were wrong; the stated limit is {error}"
    if alone == bound["decisions"]:
        return f"A person sees only decisions without a confidence: the policy decides all {known}, {measured}."
    share = f"{html_page.count(alone)} ({percent(alone / bound['decisions'])}) of {known}"
    confidence = html_page.number(bound["threshold"], 3)
    return f"The policy decides without a person if its confidence is above {confidence}: {share}, {measured}."


def _steps(figures: Figures, steps: Sequence[float], shadow: bool) -> list[tuple[str, bool]]:
    row = figures.rollout
    state = row.previous if row.state == "paused" and row.previous else row.state
    shares = [(percent(share, 0), state == "canary" and row.step == i) for i, share in enumerate(steps)]
    first = [("shadow", state == "shadow")] if shadow or state == "shadow" else []
    return [*first, *shares, ("100 %", state == "full"), ("champion", state == "promoting")]


def _difference_chart(figures: Figures) -> Markup | None:
    looks = [look for look in figures.evidence if look.get("difference") is not None]
    if looks:
        step = looks[-1].get("share")
        looks = [look for look in looks if look.get("share") == step]
    if len(looks) < 2:
        return None
    x, y = np.array([look["units"] for look in looks], float), np.array([look["difference"] for look in looks], float)
    margin = looks[-1].get("margin")
    rule = None if margin is None else (-float(margin), "margin")
    description = f"Difference of the mean reward over {len(looks)} looks; the last is {html_page.number(y[-1])}"
    return charts.curves(
        [charts.Series("difference", x, y)], description, x_label="units", rule=rule, y_range=(0.0, 0.0)
    )


def _improvement(figures: Figures) -> list[tuple[Mapping[str, Any], Markup]]:
    rows = figures.improvement
    if not rows:
        return []
    ends = [value for row in rows for value in (row["low"], row["high"])]
    bounds = (min([0.0, *ends]), max([0.0, *ends]))
    return [
        (
            row,
            charts.interval(
                row["difference"], row["low"], row["high"], 0.0, True,
                f"version {row['version']}: {html_page.number(row['difference'])}", bounds, small=True,
            ),
        )
        for row in rows
    ]  # fmt: skip


def moment(seconds: Any) -> str:
    """`2026-01-31 12:00:00` in UTC, from seconds since 1970."""
    try:
        return datetime.datetime.fromtimestamp(float(seconds), datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (TypeError, ValueError, OverflowError, OSError):
        return "–"


def _cost(cost: Mapping[str, Any]) -> str:
    seconds, money = cost.get("wall_s"), cost.get("money")
    texts = [html_page.duration(seconds)] if isinstance(seconds, int | float) else []
    if isinstance(money, int | float):
        texts.append(f"{money:.4g} {cost.get('currency', '')}".strip())
    return ", ".join(texts) or "–"


def _thousand(cost: Cost | None) -> str:
    if cost is None:
        return "–"
    time = f"{html_page.number(cost.machine_s)} s of machine time"
    return time if cost.money is None else f"{money_text(cost)}, {time}"


def _brief(value: Any, longest: int) -> str:
    return whole_words(value if isinstance(value, str) else str(value), longest)


def capitalised(text: Any) -> str:
    """A sentence as a page begins it: with a capital, unless it begins with a path or a name in code."""
    words = str(text)
    first = words.partition(" ")[0].rstrip(":,")
    return words[:1].upper() + words[1:] if first.isalpha() and first.islower() else words


def _outcome(result: Mapping[str, Any] | None) -> str:
    if not result:
        return "–"
    text = result.get("sentence")
    return str(text) if text else _facts(result)


def _facts(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_short(value)}" for key, value in facts.items() if value not in (None, "", [], {}))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _action(action: Any, names: Sequence[str]) -> str:
    return names[action] if isinstance(action, int) and 0 <= action < len(names) else json.dumps(action)
