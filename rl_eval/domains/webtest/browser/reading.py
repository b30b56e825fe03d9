"""From what `read_page.js` reports to a `Page`, and back from an element to how it is found in the document."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_eval.domains.webtest.browser.sites import address_template, path_template, text_template
from rl_eval.domains.webtest.browser.values import Field
from rl_eval.domains.webtest.page import VALUES_OF, Element, Page

FOLDER = Path(__file__).parent
_SCRIPTS = ("prepare_page", "read_page", "act_on_page", "read_form")
LIMITS = {"nodes": 20_000, "elements": 200}
REPEATED = 6  # elements with one key on a page that are kept: the entries of a list lead to near-duplicates
# Words in a few languages, for Python and for the scripts in the page, whose \b knows only ASCII letters.
LOG_OUT = (
    r"\b((log|sign)[ _-]?(out|off)|abmelden|ausloggen|afmelden|uitloggen|d[eé]connexion|se d[eé]connecter|"
    r"cerrar sesi[oó]n|terminar sess[aã]o|disconnetti)\b|wyloguj|выйти|登出|注销|登録解除|ログアウト|로그아웃"
)
DESTRUCTIVE = (
    rf"{LOG_OUT}|\b(delet(e|ing)|remov(e|ing)|destroy|cancel|erase|purge|drop|wipe|truncate|deactivate|disable|"
    r"unsubscribe|uninstall|revoke|terminate|shut ?down|restart|reset|retire|trash|"
    r"l(ö|oe)schen|entfernen|stornieren|zur(ü|ue)cksetzen|k(ü|ue)ndigen|supprimer|effacer|annuler|r[eé]initialiser|"
    r"eliminar|borrar|excluir|remover|elimina|cancella|rimuovi|verwijderen|annuleren)\b|"
    r"usu[nń]|удалить|очистить|删除|刪除|清空|削除|삭제"
)
_LOG_OUT = re.compile(LOG_OUT, re.IGNORECASE)
_DESTRUCTIVE = re.compile(DESTRUCTIVE, re.IGNORECASE)
PREPARE, READ, ACT, SENT = (
    (FOLDER / f"{name}.js").read_text().replace("DESTRUCTIVE_WORDS", json.dumps(DESTRUCTIVE)) for name in _SCRIPTS
)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Found:
    """An element of a page and where it is.

    Attributes:
        raw: what `read_page.js` reported.
    """

    element: Element
    raw: Mapping[str, Any]

    @property
    def field(self) -> Field:
        """What the page says about it as a field."""
        raw = self.raw
        kind = "number" if self.element.role == "number" else raw["type"]
        limits = (raw.get("least", ""), raw.get("most", ""), raw.get("longest", 0), raw.get("shortest", 0))
        where = path_template(raw["action"]) if raw["action"] else path_template("")
        return Field(kind, raw["name"], raw["text"], *limits, raw.get("pattern", ""), where)


def found_elements(report: Mapping[str, Any]) -> tuple[Found, ...]:
    """The elements of a page in the order of the document; of those with one key the first `REPEATED`."""
    count: Counter[str] = Counter()
    found = []
    last = max(len(report["elements"]) - 1, 1)
    for place, raw in enumerate(report["elements"]):
        key = element_key(raw)
        count[key] += 1
        if count[key] > REPEATED:
            continue
        numbered = key if count[key] == 1 else f"{key} {count[key]}"
        found.append(Found(_element(raw, numbered, place / last), raw))
    return tuple(found)


def element_key(raw: Mapping[str, Any]) -> str:
    """Names an element in its application: by its address if it is a link that leads to one, else by name or text."""
    form = path_template(raw["action"]) if raw["action"] else ""
    if raw["role"] == "link" and not raw["href"].endswith("#"):  # such a link runs code
        return f"link {raw['place']} {address_template(raw['href']) or text_template(raw['text'])}"
    what = raw["name"] if raw["role"] in VALUES_OF else text_template(raw["text"])[:60]
    return f"{raw['role']} {raw['place']} {form} {what or raw['id']}"


def _element(raw: Mapping[str, Any], key: str, position: float) -> Element:
    address = address_template(raw["href"]) if raw["href"] else path_template(raw["action"]) if raw["action"] else ""
    words = " ".join(filter(None, (raw["name"], raw["type"], raw["id"], raw["placeholder"], address)))
    return Element(
        role=raw["role"], text=raw["text"], attributes=text_template(words), place=raw["place"], position=position,
        key=key, destructive=is_destructive(raw),
    )  # fmt: skip


def is_destructive(raw: Mapping[str, Any]) -> bool:
    """Whether an element looks as if it logs out or deletes: by its text, its name, or where it leads."""
    return bool(raw["role"] not in VALUES_OF and _DESTRUCTIVE.search(words_of(raw)))


def words_of(raw: Mapping[str, Any]) -> str:
    """What a pattern of destructive or allowed elements is matched with."""
    address = raw["href"] or raw["action"]
    # Words of names, addresses and code are separated by more than spaces: `do=delete`, `deleteItem()`.
    others = " ".join((raw["name"], raw["id"], address.partition("//")[2], raw["does"]))
    return f"{raw['text']} {re.sub(r'[^A-Za-z]+|(?<=[a-z])(?=[A-Z])', ' ', others)}"


def has_log_out(report: Mapping[str, Any]) -> bool:
    """Whether the page has a control that logs out."""
    return any(raw["role"] not in VALUES_OF and _LOG_OUT.search(words_of(raw)) for raw in report["elements"])


def page_of(report: Mapping[str, Any], found: Sequence[Found], status: int) -> Page:
    """The page as a tester sees it."""
    numbers = [int(number) for number in _NUMBER.findall(report["head"]) if len(number) < 6]
    return Page(
        state=state_of(report), title=f"{report['title']} {report['heading']}"[:300], text=report["text"],
        elements=tuple(item.element for item in found), status=status, shows_errors=report["errorsShown"],
        has_log_out=has_log_out(report), badge=max(numbers, default=0),
    )  # fmt: skip


def state_of(report: Mapping[str, Any]) -> str:
    """Names the abstract state: template of the address, controls other than links, log-in, errors."""
    keys = sorted({element_key(raw) for raw in report["elements"] if raw["role"] != "link"})
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:8]
    flags = "+" * has_log_out(report) + "!" * report["errorsShown"]
    return f"{address_template(report['url'])} {digest}{flags}"
