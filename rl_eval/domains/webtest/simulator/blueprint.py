"""An application while it is drawn up: pages with their elements, what each does, and the defects that it may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rl_eval.domains.webtest.page import POSITIONS, VALUE_KINDS, VALUES_OF, Element, FailureKind, Place, Role, ValueKind
from rl_eval.domains.webtest.simulator.session import Conditions

FRAME: tuple[Place, ...] = ("header", "navigation", "footer")  # places of controls that many pages share
Visible = Literal["always", "logged_in", "logged_out"]


@dataclass
class Effect:
    """What an element changes in the session, where it works: `quantity` is set to a value, or changed by it."""

    quantity: str
    value: int
    is_set: bool = True


@dataclass
class Control:
    """An element of a page, and what it does.

    Attributes:
        target: the page that it leads to; None: it stays.
        needs: a quantity that must be at least 1, else it leads to `otherwise`.
        effects: at most two.
        field: of the form, for an element that takes a value.
        is_submit: whether it sends the form of the page.
        seconds: that it takes.
    """

    element: Element
    target: int | None = None
    needs: str | None = None
    otherwise: int | None = None
    effects: list[Effect] = field(default_factory=list)
    field: int | None = None
    is_submit: bool = False
    is_external: bool = False
    times_out: bool = False
    visible: Visible = "always"
    seconds: float = 0.3


@dataclass
class FormField:
    """A field of a form, and the kinds of values that it accepts."""

    label: str
    role: Role
    attributes: str = ""
    accepts: frozenset[ValueKind] = frozenset({"valid", "injection"})


@dataclass
class PagePlan:
    """A page: what it shows, its controls, and its form.

    Attributes:
        state: near duplicates share it.
        errors: the page that shows the errors of its form.
        fields: of its form, at most `FIELDS`.
        is_wizard: whether going back from it may lose what was entered.
    """

    state: str
    title: str
    text: str
    status: int = 200
    controls: list[Control] = field(default_factory=list)
    fields: list[FormField] = field(default_factory=list)
    errors: int | None = None
    shows_errors: bool = False
    is_wizard: bool = False


@dataclass(frozen=True)
class Defect:
    """A fault that may be switched on.

    Attributes:
        template: names it in `defects.py`, and is the site of its failure.
        action: key of the action that shows it; None: entering a page does.
        page: where that action is taken (None: anywhere), or the page entered.
        when: quantities of the session that it needs.
        lands: the page that shows instead of the expected one; None: the expected one.
        loses: a quantity that becomes 0.
    """

    template: str
    kind: FailureKind
    action: str | None = None
    page: int | None = None
    when: Conditions = field(default_factory=dict)
    lands: int | None = None
    loses: str | None = None


@dataclass
class Blueprint:
    """An application: its pages (the first is the start) and its possible defects."""

    name: str
    pages: list[PagePlan] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    not_found: int = -1
    server_error: int = -1

    def page(self, state: str, title: str, text: str, *, status: int = 200) -> int:
        """A new page; its index."""
        self.pages.append(PagePlan(state, title, text, status))
        return len(self.pages) - 1

    def control(self, page: int, role: Role, text: str, place: Place, **does) -> str:
        """A control at the end of a page; the key of its element.

        Args:
            does: fields of `Control`, and `attributes`, `key` and `destructive` of its element.
        """
        attributes = does.pop("attributes", "")
        plan = self.pages[page]
        scope = "" if place in FRAME else f"{plan.state}/"
        key = does.pop("key", None) or f"{scope}{role}:{text}"
        before = sum(control.element.place == place for control in plan.controls)
        position = min(before / POSITIONS, 1.0)
        element = Element(role, text, attributes, place, position, key, does.pop("destructive", False))
        plan.controls.append(Control(element, **does))
        return key

    def form(self, page: int, fields: list[FormField], submit: str, target: int, **does) -> str:
        """A form with its submit control and the page that shows its errors; the key of the submit control."""
        plan = self.pages[page]
        plan.fields = fields
        for index, entry in enumerate(fields):
            self.control(page, entry.role, entry.label, "form", attributes=entry.attributes, field=index)
        return self.control(page, "submit", submit, "form", target=target, is_submit=True, **does)

    def field_key(self, page: int, index: int) -> str:
        """The key of the element of a field."""
        return next(control.element.key for control in self.pages[page].controls if control.field == index)

    def on_all_pages(self, role: Role, text: str, place: Place, **does) -> str:
        """A control of the frame of the application: on all pages except error pages."""
        key = self.control(0, role, text, place, **does)
        for plan in self.pages[1:]:
            if plan.status < 400:
                plan.controls.append(self.pages[0].controls[-1])
        return key

    def add_error_pages(self) -> None:
        """A page with errors for each form; its controls are those of the form's page, under the same keys."""
        for page in range(len(self.pages)):
            plan = self.pages[page]
            if plan.fields:
                errors = self.page(f"{plan.state}+errors", plan.title, f"{plan.text} please correct the fields below")
                copy = self.pages[errors]
                copy.controls, copy.fields, copy.shows_errors, copy.errors = plan.controls, plan.fields, True, errors
                copy.is_wizard, plan.errors = plan.is_wizard, errors


def refused_by(entry: FormField) -> list[ValueKind]:
    """The kinds of values that a field must not accept, of those that can be entered."""
    return [kind for kind in VALUES_OF.get(entry.role, ()) if kind not in entry.accepts]


def accepted_bits(entry: FormField) -> int:
    """The kinds that a field accepts, as bits of their indices."""
    return sum(1 << VALUE_KINDS.index(kind) for kind in entry.accepts)
