"""Templates of seeded defects, and which of them an application can have.

Each template says what must be there, what shows the defect, and in which session. Some show on the first visit; others
need a kind of value, a log-in, a filled cart, or an order of actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rl_eval.domains.webtest.page import VALUE_KINDS, FailureKind, ValueKind
from rl_eval.domains.webtest.simulator.blueprint import Defect, refused_by
from rl_eval.domains.webtest.simulator.sections import Site
from rl_eval.domains.webtest.simulator.session import Conditions

Template = Callable[[Site], Iterator[Defect]]
_TEMPLATES: list[tuple[str, FailureKind, Template]] = []


def _field(index: int, kind: ValueKind) -> Conditions:
    place = VALUE_KINDS.index(kind)
    return {f"field_{index}": (place, place)}


def _on_submit(
    template: str,
    kind: FailureKind,
    action: str,
    index: int,
    value: ValueKind,
    *,
    page: str | None = None,
    when: Conditions | None = None,
) -> None:
    """A form fails where one of its fields has a kind of value.

    Args:
        action: of the site, that sends the form.
        index: of the field.
        page: the field must refuse the value on this page, for defects of validation.
    """

    def build(site: Site) -> Iterator[Defect]:
        if action not in site.actions:
            return
        if page is not None and value not in refused_by(site.plan.pages[site.pages[page]].fields[index]):
            return
        lands = site.plan.server_error if kind == "error_page" else None
        yield Defect(
            template, kind, action=site.actions[action],
            when={**_field(index, value), **(when or {})}, lands=lands,
        )  # fmt: skip

    _TEMPLATES.append((template, kind, build))


def _on_action(
    template: str, kind: FailureKind, action: str, *, when: Conditions | None = None, lands: str | None = None,
    loses: str | None = None,
) -> None:  # fmt: skip
    """An action fails in some sessions."""

    def build(site: Site) -> Iterator[Defect]:
        if action in site.actions and _can_be(site, when):
            target = None if lands is None else getattr(site.plan, lands)
            yield Defect(
                template, kind, action=site.actions[action], when=when or {}, lands=target,
                loses=loses,
            )  # fmt: skip

    _TEMPLATES.append((template, kind, build))


def _on_page(
    template: str, kind: FailureKind, page: str, *, when: Conditions | None = None, lands: str | None = None,
    loses: str | None = None,
) -> None:  # fmt: skip
    """A page fails in some sessions."""

    def build(site: Site) -> Iterator[Defect]:
        if page in site.pages and _can_be(site, when):
            target = None if lands is None else getattr(site.plan, lands)
            yield Defect(template, kind, page=site.pages[page], when=when or {}, lands=target, loses=loses)

    _TEMPLATES.append((template, kind, build))


_SECTION_OF = {"coupon": "coupon", "logged_in": "log_in", "ordered": "pay", "searched": "search", "language": "log_in"}


def _can_be(site: Site, when: Conditions | None) -> bool:
    """Whether the application has what sets the quantities of some conditions."""
    return all(_SECTION_OF.get(name, "add") in site.actions or high == 0 for name, (_, high) in (when or {}).items())


def _one_item(template: str, kind: FailureKind, lands: str | None) -> None:
    """One item fails, and its near duplicates do not."""

    def build(site: Site) -> Iterator[Defect]:
        item = site.items[int(site.rng.integers(len(site.items)))]
        target = None if lands is None else getattr(site.plan, lands)
        yield Defect(template, kind, page=item, lands=target)

    _TEMPLATES.append((template, kind, build))


# Error pages.
_on_submit("search_injection_error", "error_page", "search", 0, "injection")
_on_submit("search_long_error", "error_page", "search", 0, "too_long")
_on_submit("age_boundary_error", "error_page", "profile", 1, "boundary")
_on_submit("street_empty_error", "error_page", "address", 0, "empty")
_on_submit("zip_type_error", "error_page", "address", 1, "wrong_type")
_on_submit("comment_long_error", "error_page", "comment", 0, "too_long")
_on_submit("contact_injection_error", "error_page", "contact", 1, "injection")
_on_submit("password_long_error", "error_page", "register", 2, "too_long")
_on_submit("shipping_boundary_error", "error_page", "delivery", 1, "boundary")
_on_action("past_end_error", "error_page", "past_end", lands="server_error")
_on_action("repeated_form_error", "error_page", "contact", when={"repeats": (1, 3)}, lands="server_error")
_on_page("cart_full_error", "error_page", "cart", when={"cart": (3, 3)}, lands="server_error")
_one_item("item_error", "error_page", "server_error")
# Console errors.
_on_action("filter_console", "console_error", "filter")
_on_action("gallery_console", "console_error", "gallery")
_on_action("sort_console", "console_error", "sort_users")
_on_page("settings_language_console", "console_error", "settings", when={"language": (1, 1)})
_on_page("wizard_back_console", "console_error", "delivery", when={"went_back": (1, 1)})
_on_page("results_console", "console_error", "results", when={"logged_in": (1, 1)})
_on_page("last_list_filtered_console", "console_error", "last_list", when={"filtered": (1, 1)})
# Dead links.
_on_action("help_dead_link", "dead_link", "help_link", lands="not_found")
_on_action("invoice_dead_link", "dead_link", "invoice", lands="not_found")
_on_action("post_dead_link", "dead_link", "post_link", lands="not_found")
_on_action("related_dead_link", "dead_link", "related", lands="not_found", when={"filtered": (1, 1)})
# Broken validation.
_on_submit("email_accepts_text", "broken_validation", "register", 1, "wrong_type", page="register")
_on_submit("newsletter_accepts_text", "broken_validation", "subscribe", 0, "wrong_type", page="newsletter")
_on_submit("newsletter_accepts_nothing", "broken_validation", "subscribe", 0, "empty", page="newsletter")
_on_submit("quantity_accepts_boundary", "broken_validation", "add", 0, "boundary", page="add")
_on_submit("quantity_accepts_text", "broken_validation", "add", 0, "wrong_type", page="add")
_on_submit("password_accepts_nothing", "broken_validation", "register", 2, "empty", page="register")
_on_submit("comment_accepts_nothing", "broken_validation", "comment", 0, "empty", page="comments")
_on_submit("name_accepts_long", "broken_validation", "profile", 0, "too_long", page="profile")
_on_submit("date_accepts_text", "broken_validation", "delivery", 0, "wrong_type", page="delivery")
_on_submit("contact_accepts_no_email", "broken_validation", "contact", 0, "wrong_type", page="contact")
_on_submit("stock_accepts_text", "broken_validation", "stock", 0, "wrong_type", page="stock")
# Wrong totals.
_on_page("total_of_two", "wrong_total", "cart", when={"cart": (2, 3)})
_on_page("total_with_coupon", "wrong_total", "cart", when={"coupon": (1, 1), "cart": (1, 3)})
_on_action("total_after_removal", "wrong_total", "remove", when={"cart": (1, 3)})
_on_page("payment_total", "wrong_total", "payment", when={"coupon": (1, 1)})
_on_page("order_total", "wrong_total", "order", when={"ordered": (1, 1)})
_on_submit("stock_boundary_total", "wrong_total", "stock", 0, "boundary")
# Lost state.
_on_action("cart_lost_at_log_in", "lost_state", "log_in", when={"cart": (1, 3)}, loses="cart")
_on_page("wizard_data_lost", "lost_state", "payment", when={"went_back": (1, 1)})
_on_page("session_lost_in_help", "lost_state", "topic", when={"logged_in": (1, 1)}, loses="logged_in")
_on_page("filter_lost", "lost_state", "last_list", when={"filtered": (1, 1)}, loses="filtered")
_on_page("search_lost", "lost_state", "search", when={"searched": (1, 1), "logged_in": (0, 0)}, loses="searched")
# Unescaped text.
_on_submit("search_unescaped", "unescaped_text", "search", 0, "injection")
_on_submit("comment_unescaped", "unescaped_text", "comment", 0, "injection")
_on_submit("name_unescaped", "unescaped_text", "profile", 0, "injection")
_on_submit("registered_unescaped", "unescaped_text", "register", 0, "injection")
_on_submit("street_unescaped", "unescaped_text", "address", 0, "injection")

TEMPLATES = tuple(name for name, _, _ in _TEMPLATES)
KIND_OF = tuple(kind for _, kind, _ in _TEMPLATES)  # of each template


def possible_defects(site: Site) -> list[Defect]:
    """The defects that an application can have, one of each template at most."""
    return [defect for _, _, build in _TEMPLATES for defect in build(site)]
