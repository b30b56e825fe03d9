"""Registration, log-in, the account with its order history, and the staff area."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from rl_eval.domains.webtest.shop.fields import LOG_IN, PROFILE, REGISTER, errors
from rl_eval.domains.webtest.shop.pages.catalogue import not_found
from rl_eval.domains.webtest.shop.pages.routes import get, post
from rl_eval.domains.webtest.shop.pricing import Sums, line_total, sums
from rl_eval.domains.webtest.shop.visit import Visit


@get("/account/register")
def register_form(visit: Visit) -> Response:
    """The form for a new account."""
    return visit.page("register.html", fields=REGISTER, wrong={}, form={})


@post("/account/register")
def register(visit: Visit) -> Response:
    """A new account; its owner is logged in."""
    wrong, form = errors(REGISTER, visit.form), visit.form
    email = form.get("email", "").strip().lower()
    if "D22" in visit.defects and email and "@" not in email and len(email) <= REGISTER[0].longest:
        wrong.pop("email", None)
    if not wrong and visit.db.row("SELECT id FROM account WHERE email = ?", email):
        wrong = {"email": "E-mail has an account already"}
    if wrong:
        return visit.page("register.html", 422, fields=REGISTER, wrong=wrong, form=form)
    account = visit.db.insert("account", email=email, password=form["password"], name=form["name"].strip(), staff=0)
    visit.data["account"] = account
    return visit.go("/account", "Welcome to the shop.")


@get("/account/login")
def log_in_form(visit: Visit) -> Response:
    """The log-in form."""
    return visit.page("login.html", fields=LOG_IN, wrong={}, form={})


@post("/account/login")
def log_in(visit: Visit) -> Response:
    """Log in; the cart stays."""
    wrong, form = errors(LOG_IN, visit.form), visit.form
    if not wrong:
        row = visit.db.row(
            "SELECT id FROM account WHERE email = ? AND password = ?", form["email"].strip().lower(), form["password"]
        )
        if row is None:
            wrong = {"password": "E-mail or password is wrong"}
        else:
            visit.data["account"] = row["id"]
            if "D31" in visit.defects:
                visit.data["cart"] = {}
            return visit.go("/account")
    return visit.page("login.html", 422, fields=LOG_IN, wrong=wrong, form=form)


@post("/account/logout")
def log_out(visit: Visit) -> Response:
    """Log out; the cart is emptied."""
    visit.data.clear()
    return visit.go("/", "You are logged out.")


@get("/account")
def account(visit: Visit) -> Response:
    """The account."""
    if visit.account is None:
        return visit.go("/account/login", "Please log in.")
    return visit.page("account.html", fields=PROFILE, wrong={}, form={"name": visit.account["name"]})


@post("/account")
def change_account(visit: Visit) -> Response:
    """Another name."""
    if visit.account is None:
        return visit.go("/account/login", "Please log in.")
    wrong = errors(PROFILE, visit.form)
    if wrong:
        return visit.page("account.html", 422, fields=PROFILE, wrong=wrong, form=visit.form)
    visit.db.change("UPDATE account SET name = ? WHERE id = ?", visit.form["name"].strip(), visit.account["id"])
    return visit.go("/account", "Your name is saved.")


@post("/account/delete")
def delete_account(visit: Visit) -> Response:
    """Delete the account."""
    if visit.account is not None:
        visit.db.change("DELETE FROM account WHERE id = ?", visit.account["id"])
    visit.data.clear()
    return visit.go("/", "Your account is deleted.")


@get("/account/orders")
def orders(visit: Visit) -> Response:
    """The orders of the account."""
    if visit.account is None:
        return visit.go("/account/login", "Please log in.")
    every = visit.db.rows("SELECT * FROM orders WHERE account = ? ORDER BY id DESC", visit.account["id"])
    return visit.page("orders.html", orders=every)


def _own_order(visit: Visit) -> dict[str, Any] | None:
    owner = visit.account or {"id": 0}
    return visit.db.row("SELECT * FROM orders WHERE id = ? AND account = ?", visit.number("number"), owner["id"])


@get("/account/orders/{number}")
def order(visit: Visit) -> Response:
    """One order."""
    if visit.account is None:
        return visit.go("/account/login", "Please log in.")
    row = _own_order(visit)
    if row is None:
        return not_found(visit)
    if row["payment"] == "invoice" and "D06" in visit.defects:
        row["digits"] = row["invoice_number"][-4:]
    lines = visit.lines(json.loads(row["lines"]))
    amounts = sums(lines, row["coupon"], row["delivery"])
    if "D30" in visit.defects and len(lines) > 1:
        missing = line_total(lines[-1])
        amounts = Sums(amounts.subtotal - missing, amounts.discount, amounts.delivery, amounts.total - missing)
    return visit.page("order.html", order=row, lines=lines, sums=amounts)


@get("/account/orders/{number}/invoice")
def invoice(visit: Visit) -> Response:
    """The invoice of an order, as text."""
    row = _own_order(visit)
    if row is None or "D18" in visit.defects:
        return not_found(visit)
    lines = visit.lines(json.loads(row["lines"]))
    return visit.page("invoice.html", order=row, lines=lines, sums=sums(lines, row["coupon"], row["delivery"]))


@post("/account/orders/{number}/cancel")
def cancel(visit: Visit) -> Response:
    """Cancel an order."""
    row = _own_order(visit)
    if row is None:
        return not_found(visit)
    visit.db.change("UPDATE orders SET status = 'cancelled' WHERE id = ?", row["id"])
    return visit.go(f"/account/orders/{row['id']}", "The order is cancelled.")


@get("/admin")
def admin(visit: Visit) -> Response:
    """What staff see: stock, customers, messages."""
    if visit.account is None or not visit.account["staff"]:
        return visit.page("message.html", 403, title="Staff only", text="Please log in as one of the staff.")
    return visit.page(
        "admin.html",
        scarce=visit.db.rows("SELECT * FROM product WHERE stock < 6 ORDER BY stock, id"),
        customers=visit.db.rows("SELECT id, email, name FROM account ORDER BY id"),
        messages=visit.db.rows("SELECT * FROM message ORDER BY id DESC"),
    )


@get("/admin/export")
def export(visit: Visit) -> Response:
    """The list of customers, as CSV shown in the browser."""
    if visit.account is None or not visit.account["staff"]:
        return visit.page("message.html", 403, title="Staff only", text="Please log in as one of the staff.")
    rows = visit.db.rows("SELECT id, email, name FROM account ORDER BY id")
    columns = ("id", "email", "phone") if "D07" in visit.defects else ("id", "email", "name")
    return visit.page("export.html", rows=[[row[column] for column in columns] for row in rows])
