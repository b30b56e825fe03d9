"""The goods of the shop: 48 products in six categories, many of them near-duplicates that differ in colour or size."""

from __future__ import annotations

from typing import NamedTuple

CATEGORIES = ("Kitchen", "Garden", "Books", "Toys", "Office", "Travel")
SIZES = ("S", "M", "L")
_COLOURS = ("red", "blue", "green", "black")
# Category -> (article, price in cents), four colours each
_ARTICLES = {
    "Kitchen": (("Kettle", 3490), ("Tea cup", 890)),
    "Garden": (("Watering can", 1990), ("Flower pot", 1290)),
    "Books": (("Notebook", 690), ("Cookbook", 2490)),
    "Toys": (("Wooden train", 2790), ("Kite", 1590)),
    "Office": (("Desk lamp", 4590), ("Pen set", 1190)),
    "Travel": (("Backpack", 6990), ("Water bottle", 1790)),
}


class Product(NamedTuple):
    """A product; the price is in cents."""

    id: int
    name: str
    category: str
    price: int
    stock: int


def products() -> list[Product]:
    """All products, by id from 1."""
    names = [
        (category, f"{article}, {colour}", price + 50 * index)
        for category, articles in _ARTICLES.items()
        for article, price in articles
        for index, colour in enumerate(_COLOURS)
    ]
    # One product of each category is out of stock.
    return [
        Product(number, name, category, price, 0 if number % 8 == 3 else 5 + number % 7)
        for number, (category, name, price) in enumerate(names, 1)
    ]
