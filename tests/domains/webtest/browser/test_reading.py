"""Names of near-duplicates, values for fields, elements that look destructive, and which actions are offered."""

import pytest

from rl_eval.domains.webtest.browser.choice import offered
from rl_eval.domains.webtest.browser.reading import element_key, is_destructive
from rl_eval.domains.webtest.browser.sites import address_template, message_template, origin_of, path_template
from rl_eval.domains.webtest.browser.values import Field, value_for
from rl_eval.domains.webtest.page import BACK, START, Element, Page


@pytest.mark.parametrize(
    ("url", "template"),
    [
        ("http://h/", "/"),
        ("http://h", "/"),
        ("http://h/products/17/reviews", "/products/{n}/reviews"),
        ("http://h/blog/2026-11-29/a", "/blog/{n}/a"),
        ("http://h/f/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/f/{n}"),
        ("http://h/feed/face", "/feed/face"),
        ("http://h/issue12", "/issue12"),
    ],
)
def test_templates_of_paths(url, template):
    assert path_template(url) == template


def test_templates_of_addresses_and_messages():
    assert address_template("http://h/a?b=1&a=2#c") == "/a?a&b"
    assert address_template("http://h/#/orders/7?tab=2") == address_template("http://h/#/orders/8") == "/#/orders/{n}"
    assert address_template("http://h/app#!/users") == "/app#!/users"
    assert message_template("order 12 of 3.5 failed\nat line 7") == "order # of # failed"
    assert message_template("see http://h/orders/7") == "see /orders/{n}"
    assert message_template("half \ud800 of a pair").encode() == b"half ? of a pair"
    assert origin_of("http://user:secret@h:8000/x") == "http://h:8000"
    assert origin_of("file:///etc/passwd") == ""


@pytest.mark.parametrize(
    ("text", "href", "expected"),
    [
        ("Log out", "", True), ("Sign-out", "", True), ("Delete account", "", True),
        ("", "http://h/user/3/delete", True),
        ("X", "http://h/page?action=remove", True), ("Konto löschen", "", True), ("Se déconnecter", "", True),
        ("Usuń", "", True), ("удалить", "", True), ("删除", "", True), ("", "http://h/#/users/3/delete", True),
        ("Produkte", "", False), ("Ajouter", "", False), ("Undeleted items", "", False),
        ("Log in", "http://h/login", False),
    ],
)  # fmt: skip
def test_destructive_elements(text, href, expected):
    raw = {"role": "link", "text": text, "name": "", "id": "", "href": href, "action": "", "does": ""}
    assert is_destructive(raw) is expected


def test_links_that_run_code_are_told_apart_by_their_text():
    raw = {"role": "link", "place": "navigation", "href": "http://h/#", "action": "", "name": "", "id": ""}
    assert len({element_key({**raw, "text": text}) for text in ("Users", "Orders")}) == 2
    assert len({element_key({**raw, "text": text, "href": "http://h/a"}) for text in ("Users", "Orders")}) == 1


@pytest.mark.parametrize("does", ["delete", "http://h/deleteItem/3", "deleteItem(3)", "btn_trash", "@action retire"])
def test_what_a_button_does_may_be_destructive_whatever_it_is_called(does):
    raw = {"role": "submit", "text": "OK", "name": "", "id": "", "href": "", "action": "http://h/x", "does": does}
    assert is_destructive(raw)
    assert not is_destructive({**raw, "does": "saveItem(3)"})


@pytest.mark.parametrize(
    ("field", "kind", "value"),
    [
        (Field("email", "mail"), "valid", "tester@example.com"),
        (Field("email", "mail"), "wrong_type", "not an address"),
        (Field("text", "card_number"), "valid", "4111 1111 1111 1111"),
        (Field("number", "n", least="3", most="9"), "valid", "3"),
        (Field("number", "n", least="3", most="9"), "boundary", "2"),
        (Field("number", "n", most="9"), "boundary", "10"),
        (Field("number", "n"), "wrong_type", "many"),
        (Field("text", "title", longest=4), "too_long", "xxxxx"),
        (Field("text", "title", longest=4), "valid", "Some"),
        (Field("password", "p", shortest=3), "boundary", "aa"),
        (Field("text", "title"), "empty", ""),
    ],
)
def test_values_of_fields(field, kind, value):
    assert value_for(field, kind, {}) == value


def test_a_persons_own_value_is_the_valid_one():
    assert value_for(Field("text", "code"), "valid", {"code": "SPRING"}) == "SPRING"


def test_injected_markup_says_where_it_was_typed_and_nothing_else():
    assert value_for(Field("text", 'q"><b>', action="GET /find"), "injection", {}).count(">") == 3


def test_of_a_long_page_what_was_tried_least_is_offered():
    elements = tuple(Element("link", f"{n}", "", "main", 0.0, f"k{n}", destructive=n == 3) for n in range(20))
    page = Page("s", "", "", elements)

    def keys(tried):
        options = offered(page, 8, lambda key: key in tried, lambda element: not element.destructive)
        assert options[-2:] == [BACK, START]
        return [option.key for option in options[:-2]]

    assert keys(()) == ["k0", "k1", "k2", "k4", "k5", "k6"]
    assert keys(("k0", "k2")) == ["k1", "k4", "k5", "k6", "k7", "k8"]
    assert len(offered(page, 64, lambda key: 0, lambda element: True)) == 22
