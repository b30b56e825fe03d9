"""Home, the lists of products, product pages, reviews, makers and pictures."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from rl_eval.domains.webtest.shop.fields import QUANTITY, REVIEW, errors
from rl_eval.domains.webtest.shop.pages.routes import get, post
from rl_eval.domains.webtest.shop.products import CATEGORIES
from rl_eval.domains.webtest.shop.visit import Visit

PAGE = 12
ORDERS = {"name": "name, id", "price": "price, id", "stock": "stock DESC, id"}
NEWEST = 3  # reviews on the page of a product
_COLOURS = {"red": "#c33", "blue": "#36c", "green": "#393", "black": "#333"}


@get("/")
def home(visit: Visit) -> Response:
    """Some products of each category."""
    return visit.page("home.html", featured=visit.db.rows("SELECT * FROM product WHERE id % 8 = 1 ORDER BY id"))


@get("/products")
def search(visit: Visit) -> Response:
    """Products by words, by category, in an order."""
    words, category, order = visit.query("q").strip(), visit.query("category"), visit.query("sort", "name")
    order = order if order in ORDERS else "name"
    query, values = "SELECT * FROM product WHERE instr(lower(name), lower(?))", [words[:80]]
    if category in CATEGORIES:
        query, values = f"{query} AND category = ?", [*values, category]
    found = visit.db.rows(f"{query} ORDER BY {ORDERS[order]}", *values)
    if not found and "D01" in visit.defects:
        cheapest = min(product["price"] for product in found)
        return visit.page("products.html", found=found, cheapest=cheapest)
    return visit.page(
        "products.html", found=found[:PAGE], count=len(found), words=words, category=category, order=order
    )


@get("/products/all/{number}")
def every_product(visit: Visit) -> Response:
    """One page of the list of all products."""
    number, every = visit.number("number"), visit.db.rows("SELECT * FROM product ORDER BY id")
    pages = -(-len(every) // PAGE)
    if not 1 <= number <= pages:
        return not_found(visit)
    if number == pages and "D02" in visit.defects:
        found = [every[(number - 1) * PAGE + index] for index in range(PAGE + 1)]
    else:
        found = every[(number - 1) * PAGE : number * PAGE]
    return visit.page("all_products.html", found=found, number=number, pages=pages)


@get("/products/{number}")
def product(visit: Visit) -> Response:
    """One product."""
    return _product_page(visit, {}, {})


def _product_page(visit: Visit, wrong: dict[str, str], form: dict[str, str]) -> Response:
    row = visit.db.row("SELECT * FROM product WHERE id = ?", visit.number("number"))
    if row is None:
        return not_found(visit)
    if row["stock"] == 0 and "D03" in visit.defects:
        row["days_left"] = 100 // row["stock"]
    reviews = visit.db.rows("SELECT * FROM review WHERE product = ? ORDER BY id DESC", row["id"])
    similar = visit.db.rows(
        "SELECT * FROM product WHERE category = ? AND id != ? ORDER BY id LIMIT 4", row["category"], row["id"]
    )
    maker = CATEGORIES.index(row["category"]) + 1
    return visit.page(
        "product.html", 422 if wrong else 200, product=row, reviews=reviews[:NEWEST], older=len(reviews) > NEWEST,
        similar=similar, maker=maker + 90 if "D17" in visit.defects else maker, wrong=wrong, form=form,
        picture=row["id"] + 900 if row["category"] == "Garden" and "D20" in visit.defects else row["id"],
        buy_fields=QUANTITY, review_fields=REVIEW,
    )  # fmt: skip


@post("/products/{number}/reviews")
def write_review(visit: Visit) -> Response:
    """A new review."""
    row = visit.db.row("SELECT * FROM product WHERE id = ?", visit.number("number"))
    if row is None:
        return not_found(visit)
    wrong = errors(REVIEW, visit.form)
    if "D25" in visit.defects and not visit.form.get("text", "").strip():
        wrong.pop("text", None)
    if wrong:
        return _product_page(visit, wrong, visit.form)
    form = visit.form
    visit.db.insert(
        "review", product=row["id"], author=form["author"], stars=int(form["stars"]), text=form.get("text", "")
    )
    return visit.go(f"/products/{row['id']}", "Thank you for your review.")


@get("/products/{number}/reviews")
def reviews(visit: Visit) -> Response:
    """All reviews of a product."""
    row = visit.db.row("SELECT * FROM product WHERE id = ?", visit.number("number"))
    if row is None or "D19" in visit.defects:
        return not_found(visit)
    every = visit.db.rows("SELECT * FROM review WHERE product = ? ORDER BY id DESC", row["id"])
    return visit.page("reviews.html", product=row, reviews=every)


@get("/products/{number}/stores")
def stores(visit: Visit) -> Response:
    """The stock in stores, as JSON."""
    row = visit.db.row("SELECT * FROM product WHERE id = ?", visit.number("number"))
    if row is None:
        return not_found(visit)
    if "D21" in visit.defects:
        raise LookupError("no stores")
    return JSONResponse({"Leeds": row["stock"] // 2, "York": row["stock"] - row["stock"] // 2})


@get("/makers/{number}")
def maker(visit: Visit) -> Response:
    """Who makes the products of a category."""
    number = visit.number("number")
    if not 1 <= number <= len(CATEGORIES):
        return not_found(visit)
    return visit.page("maker.html", number=number, category=CATEGORIES[number - 1])


@get("/pictures/{number}")
def picture(visit: Visit) -> Response:
    """The picture of a product."""
    row = visit.db.row("SELECT * FROM product WHERE id = ?", visit.number("number"))
    if row is None:
        return not_found(visit)
    fill = _COLOURS[row["name"].rpartition(" ")[2]]
    drawn = f'<circle cx="40" cy="40" r="30" fill="{fill}"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80">{drawn}</svg>'
    return Response(svg, media_type="image/svg+xml")


def not_found(visit: Visit) -> Response:
    """The page for what does not exist."""
    return visit.page("message.html", 404, title="Not found", text="There is no such page.")
