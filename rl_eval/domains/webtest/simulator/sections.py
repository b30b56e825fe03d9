"""The sections of a generated application: catalogue, search, cart, checkout, account, help and others."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.webtest.page import ValueKind
from rl_eval.domains.webtest.simulator.blueprint import Blueprint, Effect, FormField
from rl_eval.domains.webtest.simulator.words import EXTERNAL, HELP, NAMES, THEMES, Theme, label

_TEXT: frozenset[ValueKind] = frozenset({"valid", "injection", "wrong_type"})
_OPTIONAL: frozenset[ValueKind] = _TEXT | {"empty"}
_TYPED: frozenset[ValueKind] = frozenset({"valid"})
_RANGED: frozenset[ValueKind] = frozenset({"valid", "boundary"})


@dataclass
class Site:
    """An application with the places that defects need; a page that it does not have is absent.

    Attributes:
        pages: name -> index of a page.
        actions: name -> key of an action.
    """

    plan: Blueprint
    theme: Theme
    rng: np.random.Generator
    pages: dict[str, int] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    items: list[int] = field(default_factory=list)

    def has(self, chance: float) -> bool:
        """Whether an optional part is there."""
        return bool(self.rng.random() < chance)

    def word(self, options: tuple[str, ...]) -> str:
        """One of some words."""
        return options[int(self.rng.integers(len(options)))]

    def label(self, name: str) -> str:
        """One of the ways to label a control."""
        return label(name, self.rng)


def new_site(rng: np.random.Generator) -> Site:
    """An application with only its start page and its error pages."""
    theme = THEMES[int(rng.integers(len(THEMES)))]
    name = " ".join(NAMES[int(index)] for index in rng.choice(len(NAMES), 3, replace=False))
    site = Site(Blueprint(name), theme, rng)
    plan = site.plan
    site.pages["home"] = plan.page("home", f"{name} {theme.name}", f"welcome to {name} the best {theme.items}")
    plan.not_found = plan.page("not-found", "Not found", "404 this page does not exist", status=404)
    plan.server_error = plan.page("server-error", "Internal server error", "500 something went wrong", status=500)
    return site


def add_catalogue(site: Site) -> None:
    """Lists of items over some pages with filters, and items that are near duplicates of each other."""
    plan, theme = site.plan, site.theme
    lists = [
        plan.page(f"list{min(index, 1)}", f"{theme.items} page {min(index, 1) + 1}", f"all {theme.items} list prices")
        for index in range(int(site.rng.integers(2, 4)))
    ]
    site.pages["list"], site.pages["last_list"] = lists[0], lists[-1]
    for page, following in itertools.pairwise(lists):
        site.actions["next_list"] = plan.control(page, "link", site.label("next"), "main", target=following)
        plan.control(following, "link", site.label("previous"), "main", target=page)
    site.actions["past_end"] = plan.control(lists[-1], "link", "Last page", "main", target=lists[-1])
    site.actions["filter"] = plan.control(
        lists[0], "link", site.label("filter"), "main", target=lists[0], effects=[Effect("filtered", 1)]
    )
    for page in lists:
        for index in range(int(site.rng.integers(2, 4))):
            item = plan.page("item", f"{theme.item} details", f"{theme.item} description price in stock")
            site.items.append(item)
            plan.control(page, "link", f"{theme.item} {NAMES[index]}", "main", target=item)
    for item in site.items:
        plan.control(item, "link", f"all {theme.items}", "main", target=lists[0])
        site.actions["related"] = plan.control(item, "link", "Related", "main", target=site.items[0])
    if site.has(0.7):
        text = site.label("gallery")
        for item in site.items:
            site.actions["gallery"] = plan.control(item, "button", text, "main")
    if site.has(0.5):
        text = site.label("wishlist")
        for item in site.items:
            site.actions["wishlist"] = plan.control(item, "button", text, "main")


def add_comments(site: Site) -> None:
    """A form for comments that items link to."""
    plan = site.plan
    page = plan.page("comments", "Reviews", "what others say reviews and ratings")
    fields = [FormField("Comment", "text", "comment textarea", _TEXT), FormField("Rating", "number", "rating", _RANGED)]
    done = plan.page("comment-done", "Thank you", "your review was posted and is shown below")
    site.actions["comment"] = plan.form(page, fields, site.label("comment"), done)
    for item in site.items:
        plan.control(item, "link", "Reviews", "main", target=page)
    plan.control(done, "link", "More reviews", "main", target=page)
    site.pages["comments"], site.pages["comment_done"] = page, done


def add_cart(site: Site) -> None:
    """The cart: a form on a page of its own that adds an item, coupons, and the number of pieces."""
    plan, theme = site.plan, site.theme
    name, take = site.word(theme.cart), site.word(theme.take)
    cart = plan.page("cart", name, f"your {name} items quantity price total")
    add = plan.page("choose", take, f"choose a quantity of this {theme.item}")
    for item in site.items:
        plan.control(item, "link", take, "main", target=add)
    fields = [FormField("Quantity", "number", "quantity qty amount", _TYPED)]
    site.actions["add"] = plan.form(add, fields, take, cart, effects=[Effect("cart", 1, is_set=False)])
    site.actions["remove"] = plan.control(
        cart, "button", site.label("remove"), "main", target=cart, needs="cart", otherwise=cart,
        effects=[Effect("cart", -1, is_set=False)],
    )  # fmt: skip
    plan.control(cart, "link", f"more {theme.items}", "main", target=site.pages["list"])
    if site.has(0.7):
        coupon = plan.page("coupon", "Coupon", "enter your coupon voucher code for a discount")
        plan.control(cart, "link", "Coupon code", "main", target=coupon)
        fields = [FormField("Code", "text", "coupon code voucher", frozenset({"valid"}))]
        effects = [Effect("coupon", 1)]
        site.actions["coupon"] = plan.form(coupon, fields, site.label("coupon"), cart, effects=effects)
        site.pages["coupon"] = coupon
    site.pages["cart"], site.pages["add"] = cart, add


def add_checkout(site: Site) -> None:
    """A wizard from the cart to an order, in some applications only after a log-in."""
    plan = site.plan
    address = plan.page("address", "Delivery address", "step 1 of 3 where do you live")
    delivery = plan.page("delivery", "Delivery date", "step 2 of 3 when do we deliver")
    payment = plan.page("payment", "Payment", "step 3 of 3 how do you pay total")
    done = plan.page("order-done", "Thank you", f"your {site.word(site.theme.order)} was placed number")
    empty = plan.page("cart-empty", "Nothing here", "your cart is empty")
    plan.control(empty, "link", f"see all {site.theme.items}", "main", target=site.pages["list"])
    site.actions["checkout"] = plan.control(
        site.pages["cart"], "link", site.label("checkout"), "main", target=address, needs="cart", otherwise=empty
    )
    fields = [
        FormField("Street", "text", "street address", _TEXT),
        FormField("Zip code", "number", "zip postcode", _TYPED),
    ]
    site.actions["address"] = plan.form(address, fields, site.label("continue"), delivery)
    fields = [
        FormField("Date", "text", "date day", _TYPED),
        FormField("Shipping", "choice", "delivery method", _RANGED),
    ]
    site.actions["delivery"] = plan.form(delivery, fields, site.label("continue"), payment)
    fields = [FormField("Card number", "number", "card number payment", _TYPED)]
    effects = [Effect("ordered", 1), Effect("cart", 0)]
    site.actions["pay"] = plan.form(payment, fields, site.label("confirm"), done, effects=effects)
    for page in (address, delivery, payment):
        plan.pages[page].is_wizard = True
    site.pages |= {"address": address, "delivery": delivery, "payment": payment, "order_done": done}


def add_account(site: Site) -> None:
    """Log-in, registration, and what only users who are logged in can reach."""
    plan = site.plan
    log_in = plan.page("log-in", "Log in", "log in with your email and password")
    account = plan.page("account", "My account", "welcome back your account overview")
    site.actions["log_in"] = plan.form(
        log_in,
        [FormField("Email", "text", "email user login", _TYPED), FormField("Password", "secret", "password", _TYPED)],
        site.label("log_in"),
        account,
        effects=[Effect("logged_in", 1)],
    )
    register = plan.page("register", "Register", "create a new account")
    plan.control(log_in, "link", site.label("register"), "main", target=register)
    fields = [
        FormField("Name", "text", "name first last", _TEXT),
        FormField("Email", "text", "email", _TYPED),
        FormField("Password", "secret", "password new", _RANGED),
    ]
    welcome = plan.page("registered", "Welcome", "your account was created please log in")
    plan.control(welcome, "link", site.label("log_in"), "main", target=log_in)
    site.actions["register"] = plan.form(register, fields, site.label("register"), welcome)
    profile = plan.page("profile", "Edit profile", "your name phone and birthday")
    fields = [
        FormField("Display name", "text", "name display", _TEXT),
        FormField("Age", "number", "age years", _TYPED),
        FormField("Phone", "text", "phone", _OPTIONAL),
    ]
    saved = plan.page("profile-saved", "Saved", "your profile was saved")
    site.actions["profile"] = plan.form(profile, fields, site.label("save"), saved)
    orders = plan.page("orders", "Orders", "your past orders with date and total")
    order = plan.page("order", "Order details", "order details invoice and items")
    for number in ("first order", "second order", "third order"):
        site.actions["order"] = plan.control(orders, "link", number, "main", target=order)
    site.actions["invoice"] = plan.control(order, "link", "Invoice", "main", target=order)
    settings = plan.page("settings", "Settings", "language notifications and privacy")
    site.actions["language"] = plan.control(
        settings, "link", site.label("language"), "main", target=settings, effects=[Effect("language", 1)]
    )
    site.actions["notify"] = plan.control(settings, "button", "Notifications", "main")
    for text, page in (("Edit profile", profile), (site.label("orders"), orders), (site.label("settings"), settings)):
        plan.control(account, "link", text, "main", target=page)
    plan.control(saved, "link", "Back to account", "main", target=account)
    plan.control(account, "button", "Delete account", "main", destructive=True, target=site.pages["home"])
    site.pages |= {
        "log_in": log_in, "register": register, "registered": welcome, "account": account, "profile": profile,
        "profile_saved": saved, "orders": orders, "order": order, "settings": settings,
    }  # fmt: skip
    if site.has(0.5):
        _add_admin(site)


def _add_admin(site: Site) -> None:
    plan = site.plan
    admin = plan.page("admin", "Administration", "manage users reports and stock")
    users = plan.page("users", "Users", "all users with name email and role")
    stock = plan.page("stock", "Edit stock", "change the number in stock")
    saved = plan.page("stock-saved", "Saved", "the stock was changed")
    plan.control(site.pages["account"], "link", site.label("admin"), "main", target=admin)
    plan.control(admin, "link", "Users", "main", target=users)
    plan.control(admin, "link", "Stock", "main", target=stock)
    plan.control(admin, "link", site.label("report"), "main", times_out=True, seconds=10.0)
    plan.control(users, "button", "Delete user", "main", destructive=True)
    site.actions["sort_users"] = plan.control(users, "button", "Sort by name", "main")
    fields = [FormField("In stock", "number", "stock quantity amount", _RANGED)]
    site.actions["stock"] = plan.form(stock, fields, site.label("save"), saved)
    site.pages |= {"admin": admin, "users": users, "stock": stock, "stock_saved": saved}


def add_search(site: Site) -> None:
    """A search form and its results."""
    plan = site.plan
    search = plan.page("search", "Search", f"search all {site.theme.items}")
    results = plan.page("results", "Results", f"{site.theme.items} that match your search")
    fields = [FormField("Search", "text", "query q keyword", _OPTIONAL)]
    effects = [Effect("searched", 1)]
    site.actions["search"] = plan.form(search, fields, site.label("search"), results, effects=effects)
    for item in site.items[:3]:
        plan.control(results, "link", f"{site.theme.item} found", "main", target=item)
    site.pages["search"], site.pages["results"] = search, results


def add_contact(site: Site) -> None:
    """A form that sends a message."""
    plan = site.plan
    contact = plan.page("contact", "Contact", "send us a message")
    done = plan.page("contact-done", "Thank you", "we have received your message")
    fields = [
        FormField("Your email", "text", "email from", _TYPED),
        FormField("Message", "text", "message textarea", _TEXT),
    ]
    site.actions["contact"] = plan.form(contact, fields, site.label("send"), done)
    site.pages["contact"], site.pages["contact_done"] = contact, done


def add_newsletter(site: Site) -> None:
    """A form that subscribes an address."""
    plan = site.plan
    page = plan.page("newsletter", "Newsletter", "news once a month by email")
    done = plan.page("subscribed", "Subscribed", "please confirm your address")
    site.actions["subscribe"] = plan.form(
        page, [FormField("Email", "text", "email newsletter", _TYPED)], site.label("newsletter"), done
    )
    site.pages["newsletter"] = page


def add_help(site: Site) -> None:
    """Static pages that lead to each other, news, and a calendar without an end; little can go wrong there."""
    plan = site.plan
    hub = plan.page("help", "Help", "how can we help you")
    chosen = site.rng.choice(len(HELP), int(site.rng.integers(4, 8)), replace=False)
    topics = [plan.page(f"help-{HELP[index][0]}", HELP[index][0], HELP[index][1]) for index in chosen]
    for index, page in zip(chosen, topics, strict=True):
        plan.control(hub, "link", HELP[index][0], "main", target=page)
        plan.control(page, "link", "All topics", "main", target=hub)
        plan.control(page, "link", f"see also {HELP[chosen[0]][0]}", "main", target=topics[0])
    site.actions["help_link"] = plan.control(topics[-1], "link", "Read more", "main", target=hub)
    site.pages["help"], site.pages["topic"] = hub, topics[0]
    if site.has(0.6):
        news = plan.page("news", "News", "what is new posts")
        posts = [plan.page("post", "Post", "a post with pictures and text") for _ in range(4)]
        for number, post in zip(("one", "two", "three", "four"), posts, strict=True):
            plan.control(news, "link", f"post {number}", "main", target=post)
            site.actions["post_link"] = plan.control(post, "link", "Source", "main", target=news)
        site.pages["news"] = news
    if site.has(0.4):
        calendar = [plan.page("calendar", "Calendar", "month week day dates") for _ in range(2)]
        for here, there in (calendar, calendar[::-1]):
            plan.control(here, "link", "Next month", "main", target=there)
            plan.control(here, "link", "Previous month", "main", target=there)
        site.pages["calendar"] = calendar[0]


def add_frame(site: Site) -> None:
    """The header and footer that all pages have; the last section that is added."""
    plan, pages = site.plan, site.pages
    plan.on_all_pages("link", "Home", "header", target=pages["home"])
    plan.on_all_pages("link", site.theme.items.capitalize(), "header", target=pages["list"])
    for name, text in (("search", site.label("search")), ("cart", plan.pages[pages["cart"]].title)):
        if name in pages:
            plan.on_all_pages("link", text, "header", target=pages[name], attributes=name)
    if "log_in" in pages:
        log_in, account, log_out = site.label("log_in"), site.label("account"), site.label("log_out")
        plan.on_all_pages("link", log_in, "header", target=pages["log_in"], visible="logged_out", attributes="login")
        plan.on_all_pages("link", account, "header", target=pages["account"], visible="logged_in")
        plan.on_all_pages(
            "link", log_out, "header", target=pages["home"], visible="logged_in", destructive=True,
            effects=[Effect("logged_in", 0)], attributes="logout",
        )  # fmt: skip
    home = pages["home"]
    for name in ("help", "contact", "newsletter", "news", "calendar"):
        if name in pages:
            text = plan.pages[pages[name]].title
            if name in ("help", "contact"):
                plan.on_all_pages("link", text, "footer", target=pages[name])
            else:
                plan.control(home, "link", text, "main", target=pages[name])
    plan.control(home, "link", site.word(EXTERNAL), "footer", is_external=True)
    if site.has(0.5):
        plan.control(pages["help"], "link", "Old manual", "main", target=plan.not_found)  # deliberate, no failure
