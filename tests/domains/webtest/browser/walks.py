"""Ways through the shop, in words: for each seeded defect the shortest that triggers it."""

import re

from rl_eval.domains.webtest.page import Candidate

# Defect -> the page to begin on, and what is done there: role, beginning of the text, kind of value.
BUY = ("submit", "Add to cart")
LOG_IN = ("submit", "Log in")
ADDRESS, DELIVERY, PAYMENT = (("submit", "Continue"),) * 3
CHECKOUT = ("link", "Checkout")
TRIGGERS = {
    "D01": ("/", ("text", "Search words", "wrong_type"), ("submit", "Search")),
    "D02": ("/products/all/3", ("link", "Next page")),
    "D03": ("/products?category=Kitchen", ("link", "Kettle, green")),
    "D04": ("/products/1", BUY, ("text", "Coupon", "wrong_type"), ("submit", "Use coupon")),
    "D05": ("/products/1", BUY, CHECKOUT, ("text", "Name", "too_long"), ADDRESS),
    "D06": ("/account/login", LOG_IN, ("link", "Your orders"), ("link", "Order 2")),
    "D07": ("/account/login", LOG_IN, ("link", "Staff"), ("link", "Export")),
    "D08": ("/contact", ("text", "Message", "too_long"), ("submit", "Send")),
    "D09": ("/products", ("choice", "Order", "boundary")),
    "D10": ("/products/1", ("button", "Next picture")),
    "D11": ("/help", ("link", "payment")),
    "D12": ("/products/1", ("choice", "Size", "boundary")),
    "D13": ("/products/1", BUY, ("button", "+")),
    "D14": ("/products/1", BUY, CHECKOUT, ADDRESS, ("choice", "standard", "boundary")),
    "D15": ("/products/1", ("button", "Five stars")),
    "D16": ("/help", ("link", "returns")),
    "D17": ("/products/1", ("link", "Maker")),
    "D18": ("/account/login", LOG_IN, ("link", "Your orders"), ("link", "Order 1"), ("link", "Invoice")),
    "D19": ("/products/1", ("link", "Older reviews")),
    "D20": ("/products?category=Garden", ("link", "Flower pot, black")),
    "D21": ("/products/1", ("button", "Stock in stores")),
    "D22": ("/account/register", ("text", "E-mail", "wrong_type"), ("submit", "Register")),
    "D23": ("/products/1", ("number", "Quantity", "boundary"), BUY),
    "D24": ("/contact", ("text", "Message", "empty"), ("submit", "Send")),
    "D25": ("/products/1", ("text", "Review", "empty"), ("submit", "Send review")),
    "D26": ("/products/1", BUY, CHECKOUT, ADDRESS, DELIVERY, ("text", "Card", "wrong_type"), PAYMENT),
    "D27": ("/products/1", BUY, ("link", "Kettle, red"), BUY),
    "D28": ("/products/1", BUY, ("submit", "Use coupon")),
    "D29": ("/products/1", BUY, CHECKOUT, ADDRESS, ("choice", "standard", "boundary"), DELIVERY, PAYMENT),
    "D30": ("/account/login", LOG_IN, ("link", "Your orders"), ("link", "Order 1")),
    "D31": ("/products/1", BUY, ("link", "Log in"), LOG_IN),
    "D32": ("/products/1", BUY, CHECKOUT, ADDRESS, ("link", "Back to the address")),
    "D33": ("/contact", ("text", "E-mail", "wrong_type"), ("submit", "Send")),
    "D34": ("/products/1", BUY, ("link", "Help"), ("link", "delivery")),
    "D35": ("/", ("text", "Search words", "injection"), ("submit", "Search")),
    "D36": ("/products/1", ("text", "Review", "injection"), ("submit", "Send review")),
}


def element(tester, role, text):
    """The first element of a role whose text begins so."""
    options = [item.element for item in tester.found if item.element.role == role]
    match = next((one for one in options if re.match(re.escape(text), one.text, re.I)), None)
    # A header has a log-in link before the form has its control.
    assert match is not None, f"no {role} {text!r} on {tester.report['url']}: {[one.text for one in options]}"
    return match


def walk(tester, run, *actions):
    """Start, do the actions, and give the failures of each, as (kind, site)."""
    seen = [(one.kind, one.site) for one in run(tester.start()).failures]
    for role, text, *kind in actions:
        result = run(tester.act(Candidate(element(tester, role, text), *kind)))
        seen += [(one.kind, one.site) for one in result.failures]
    return list(dict.fromkeys(seen))
