"""Words of generated applications: themes with their nouns, and several ways to label the same control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Theme:
    """What an application is about.

    Attributes:
        item, items: what its catalogue holds.
        take: the labels of the control that puts an item into the cart.
        cart, order: the words for what is collected and for what is sent at the end.
    """

    name: str
    item: str
    items: str
    take: tuple[str, ...]
    cart: tuple[str, ...]
    order: tuple[str, ...]


THEMES = (
    Theme("shop", "product", "products", ("Add to cart", "Add to basket", "Buy now"), ("Cart", "Basket"), ("order",)),
    Theme("books", "book", "books", ("Add to cart", "Order this book"), ("Cart", "Bag"), ("order",)),
    Theme("hotel", "room", "rooms", ("Book this room", "Add to booking"), ("Booking", "My trip"), ("booking",)),
    Theme("tickets", "event", "events", ("Get tickets", "Add tickets"), ("Tickets", "Cart"), ("order",)),
    Theme("courses", "course", "courses", ("Enrol", "Add to plan"), ("My plan", "Cart"), ("enrolment",)),
    Theme("food", "dish", "menu", ("Add to order", "Add to cart"), ("Cart", "Your order"), ("order",)),
    Theme("rental", "car", "cars", ("Reserve", "Add to reservation"), ("Reservation", "Cart"), ("reservation",)),
    Theme("garden", "plant", "plants", ("Add to cart", "Put in basket"), ("Basket", "Cart"), ("order",)),
)
NAMES = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbour", "iris", "juniper", "kite", "lumen",
    "maple", "north", "opal", "pine", "quartz", "river", "slate", "tulip", "umber", "vale", "willow", "yarrow",
)  # fmt: skip
SYNONYMS: dict[str, tuple[str, ...]] = {
    "log_in": ("Log in", "Sign in", "Login"),
    "log_out": ("Log out", "Sign out", "Logout"),
    "register": ("Register", "Create account", "Sign up"),
    "account": ("Account", "My account", "Profile"),
    "search": ("Search", "Find", "Look up"),
    "contact": ("Contact", "Contact us", "Write to us"),
    "checkout": ("Checkout", "Proceed to checkout", "Continue to checkout"),
    "coupon": ("Apply coupon", "Apply code", "Redeem voucher"),
    "update": ("Update", "Update quantity", "Recalculate"),
    "save": ("Save", "Save changes", "Update profile"),
    "send": ("Send", "Send message", "Submit"),
    "comment": ("Post comment", "Add review", "Send review"),
    "next": ("Next", "Next page", "Older"),
    "previous": ("Previous", "Previous page", "Newer"),
    "continue": ("Continue", "Next step", "Proceed"),
    "confirm": ("Confirm", "Place order", "Pay now"),
    "remove": ("Remove one", "Take out", "Drop one"),
    "settings": ("Settings", "Preferences", "Options"),
    "language": ("Deutsch", "Español", "Language"),
    "filter": ("In stock only", "Filter by price", "Sort by price"),
    "gallery": ("Show pictures", "Gallery", "Zoom"),
    "newsletter": ("Subscribe", "Join newsletter", "Keep me posted"),
    "orders": ("Orders", "Order history", "My orders"),
    "admin": ("Admin", "Administration", "Manage"),
    "report": ("Monthly report", "Export all", "Statistics"),
    "related": ("Related", "Similar", "You may also like"),
    "wishlist": ("Add to wishlist", "Save for later", "Remember"),
}
HELP = (
    ("FAQ", "frequently asked questions and answers"), ("Terms", "terms and conditions of use"),
    ("Privacy", "privacy policy and cookies"), ("About us", "about the team and our story"),
    ("Shipping", "shipping delivery and returns"), ("Jobs", "jobs and careers"), ("Press", "press and media"),
    ("Imprint", "imprint and legal notice"),
)  # fmt: skip
EXTERNAL = ("Facebook", "Instagram", "GitHub", "Our partner")


def label(name: str, rng: np.random.Generator) -> str:
    """One of the ways to label a control."""
    options = SYNONYMS[name]
    return options[int(rng.integers(len(options)))]
