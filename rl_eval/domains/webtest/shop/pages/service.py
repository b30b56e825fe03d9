"""Contact form, newsletter, tracking of orders, help topics, and samples of status pages."""

from __future__ import annotations

from starlette.responses import Response

from rl_eval.domains.webtest.shop.fields import CONTACT, NEWSLETTER, TRACK, errors
from rl_eval.domains.webtest.shop.pages.catalogue import not_found
from rl_eval.domains.webtest.shop.pages.routes import get, post
from rl_eval.domains.webtest.shop.visit import Visit

TOPICS = {
    "delivery": "Standard delivery takes three days, express delivery one.",
    "payment": "We take all cards.",
    "returns": "Send goods back within 30 days.",
    "status-pages": "How our pages look when something is wrong.",
}
LONGEST = CONTACT[2].longest


@get("/contact")
def contact_form(visit: Visit) -> Response:
    """The contact form."""
    return visit.page("contact.html", fields=CONTACT, wrong={}, form={})


@post("/contact")
def contact(visit: Visit) -> Response:
    """A message to the shop."""
    form, wrong = visit.form, errors(CONTACT, visit.form)
    if "D08" in visit.defects and len(form.get("message", "")) > LONGEST:
        raise OverflowError("the message does not fit")
    if "D24" in visit.defects and not form.get("message", "").strip():
        wrong.pop("message", None)
    if wrong:
        kept = {} if "D33" in visit.defects else form
        return visit.page("contact.html", 422, fields=CONTACT, wrong=wrong, form=kept)
    visit.db.insert("message", email=form["email"], topic=form["topic"], text=form.get("message", ""))
    return visit.go("/contact", "Your message is sent.")


@post("/newsletter")
def newsletter(visit: Visit) -> Response:
    """Subscribe."""
    if wrong := errors(NEWSLETTER, visit.form):
        return visit.go("/help", f"Error: {wrong['email']}.")
    return visit.go("/help", "You will hear from us.")


@get("/track")
def track(visit: Visit) -> Response:
    """Where an order is; a page with status 404 for a number that no order has."""
    number = visit.query("number")
    if not number:
        return visit.page("track.html", fields=TRACK, wrong={}, form={}, order=None)
    if wrong := errors(TRACK, {"number": number}):
        return visit.page("track.html", 422, fields=TRACK, wrong=wrong, form={"number": number}, order=None)
    order = visit.db.row("SELECT id, status FROM orders WHERE id = ?", int(number))
    wrong = {} if order else {"number": "No order has this number"}
    return visit.page(
        "track.html", 200 if order else 404, fields=TRACK, wrong=wrong, form={"number": number}, order=order
    )


@get("/help")
def help_topics(visit: Visit) -> Response:
    """The help topics."""
    return visit.page("help.html", topics=TOPICS, fields=NEWSLETTER)


@get("/help/{topic}")
def help_topic(visit: Visit) -> Response:
    """One help topic."""
    topic = visit.request.path_params["topic"]
    if topic not in TOPICS or (topic == "returns" and "D16" in visit.defects):
        return not_found(visit)
    if topic == "delivery" and "D34" in visit.defects:
        visit.data["cart"] = {}
    return visit.page("topic.html", topic=topic, text=TOPICS[topic])


@get("/status/{number}")
def status(visit: Visit) -> Response:
    """A sample page that has the status in its address: not a failure, since it is what was asked for."""
    number = visit.number("number")
    if number not in (403, 404, 500, 503):
        return not_found(visit)
    return visit.page("message.html", number, title=f"Status {number}", text="This is a sample of our status pages.")
