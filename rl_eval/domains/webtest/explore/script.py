"""The Playwright script that reproduces a failure: the steps, and a check that the failure shows after the last one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rl_eval.domains.webtest.browser.reading import DESTRUCTIVE
from rl_eval.domains.webtest.browser.sites import host_of
from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.page import Failure
from rl_eval.formatting import brief

_HEADER = (Path(__file__).parent / "replay_header.py.txt").read_text()
_WRONG = (
    "[role=alert], [aria-invalid=true], .error, .errors, .errorlist, .alert-danger, .alert-error, .invalid-feedback"
)
_TOTALS = """() => {
  const money = (c) => {
    const m = c && c.textContent.trim().match(/(-?)[^\\d-]{0,4}(-?)(\\d[\\d,]*)(?:\\.(\\d\\d))?[^\\d]*$/);
    return m ? (m[1] || m[2] ? -1 : 1) * (Number(m[3].replace(/,/g, "")) * 100 + Number(m[4] || 0)) : null;
  };
  const last = (r) => money(r.cells[r.cells.length - 1]), sum = (all) => all.reduce((a, b) => a + b, 0);
  return [...document.querySelectorAll("table")].filter((t) => t.tFoot).flatMap((t) => {
    const lines = sum([...t.tBodies].flatMap((b) => [...b.rows]).map(last));
    const foot = [...t.tFoot.rows].map((r) => [r.cells[0].textContent.trim(), last(r)]);
    const sub = foot.find(([label]) => /^sub-?\\s?total/i.test(label));
    const others = sum(foot.filter(([l]) => !/^(sub-?\\s?|grand )?total/i.test(l)).map(([, v]) => v));
    return foot.filter(([label, value]) => /^sub-?\\s?total/i.test(label) ? value !== lines :
      /^(grand )?total/i.test(label) && value !== (sub ? sub[1] : lines) + others).map(([label]) => label);
  });
}"""


def script(failure: Failure, steps: Sequence[Step], base_url: str) -> str:
    """The text of a script that ends with status 0 if the failure shows, and with 1 if it does not.

    Values of secret fields are read from the environment variable `WEBTEST_SECRET`.
    """
    rows = [f"    ({step.do!r}, {step.css!r}, {step.nth}, {_value(step)})," for step in steps]
    listed = "[\n" + "\n".join(rows) + "\n]"
    what = f"{failure.kind} at {failure.site}"
    title = " ".join(what.split()).replace("\\", "/").replace('"', "'")
    body = _HEADER.format(
        host=host_of(base_url), steps=listed, what=repr(what), destructive=repr(DESTRUCTIVE), check=_check(failure)
    )
    return f'"""Reproduces {title}; status 0: it shows, 1: it does not. --show opens a window."""\n\n{body}'


def _value(step: Step) -> str:
    return 'os.environ.get("WEBTEST_SECRET", "")' if step.secret else repr(step.value)


def _check(failure: Failure) -> str:
    kind, site = failure.kind, failure.site
    if kind in ("error_page", "dead_link"):
        if site.rpartition(" ")[2].isdigit():
            return _define(f'return any(f"{{r[0]}} {{template(r[1])}} {{r[2]}}" == {site!r} for r in responses)')
        return _define(f"return any(reason.replace('net::', '') == {site!r} for reason in reasons)")
    if kind == "console_error":
        return _define(f"return any(re.search({_pattern(site)!r}, message, re.DOTALL) for message in messages)")
    if kind == "unescaped_text":
        return _define(f"return page.locator({f'[data-webtest-probe={_css(site)}]'!r}).count() > 0")
    if kind == "broken_validation":
        form = site.rpartition(" ")[0]
        return _define(
            "sent = [r for r in responses[last[0]:] if r[3] == 'document']",
            f"errors = page.locator({_WRONG!r}).all()",
            "shown = any(e.is_visible() and e.inner_text().strip() for e in errors)",
            f"taken = any(f'{{r[0]}} {{template(r[1])}}' == {form!r} and 300 <= r[2] < 400 for r in sent)",
            "return taken and not shown and sent[-1][2] < 400",
        )
    if kind == "wrong_total":
        path, _, label = site.rpartition(" ")
        return _define(f"return template(page.url) == {path!r} and {label!r} in page.evaluate({_TOTALS!r})")
    if site.startswith("cart "):
        return _define(
            r"""count = lambda text: re.search(r"\b(?:cart|basket|bag)\b\D{0,4}(\d+)", text, re.I)""",
            """after = page.evaluate("() => document.body.innerText")""",
            "had, has = count(before), count(after)",
            "return bool(had and has) and int(had[1]) > 0 and int(has[1]) == 0",
        )
    path = site.removeprefix("form ")
    return _define(
        "names = [name for name, value in filled.items() if name and value.strip()]",
        'empty = """(f, names) => {',
        '    const kept = names.map((n) => f.elements[n]).filter((e) => e && e.type !== "password");',
        "    return kept.length > 0 && kept.every((e) => !e.value.trim());",
        '}"""',
        "forms = [form for form in page.locator('form').all()",
        f"         if template(form.evaluate('(f) => String(f.action)')) == {path!r}]",
        "return any(form.evaluate(empty, names) for form in forms)",
    )


def _define(*lines: str) -> str:
    return "def check(page, before):\n" + "\n".join(f"    {line}" for line in lines)


def _css(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pattern(site: str) -> str:
    """A regular expression for the messages of a template."""
    message = site.rpartition(" in /")[0] or site
    message = re.sub(r"^\w*(Error|Exception): ", "", message)
    parts = re.split(r"#|'…'|\{n\}", message)
    return ".*?".join(re.escape(part) for part in parts)


def describe(step: Step) -> str:
    """A step in words."""
    value = "a secret value" if step.secret else f'"{step.value if len(step.value) <= 60 else step.value[:57] + "..."}"'
    what = f'"{step.text or step.css}"'
    return {
        "open": f"open {brief(step.value, 300)}", "back": "go back", "click": f"click {what}",
        "submit": f"send the form with {what}",
        "fill": f"put {value} into {what}", "choose": f"choose the {step.value} option of {what}",
    }[step.do]  # fmt: skip
