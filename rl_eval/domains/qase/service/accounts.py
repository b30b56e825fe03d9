"""Operations on accounts: register, log in and out, read, change, delete."""

from __future__ import annotations

from rl_eval.domains.qase.service.shop import FORBIDDEN, LOGGED_OUT, Row, Shop, ShopResponse, error_response

MAX_WRONG_PASSWORDS = 3
MIN_PASSWORD = 8


def _user_fields(shop: Shop, user: Row) -> Row:
    hidden = () if "B03" in shop.bugs else ("password",)
    return {name: value for name, value in user.items() if name not in hidden}


def _is_email(text: str) -> bool:
    name, at, domain = text.partition("@")
    return bool(name and at) and "@" not in domain and "." in domain.strip(".") and " " not in text


def _is_taken(shop: Shop, email: str) -> bool:
    if "B01" in shop.bugs:
        return any(user["email"] == email for user in shop.users.values())
    return any(user["email"].lower() == email.lower() for user in shop.users.values())


def register(shop: Shop, email: str, password: str, name: str) -> ShopResponse:
    """A new customer."""
    if not _is_email(email):
        return error_response(400, "the e-mail address is not valid")
    if len(password) < MIN_PASSWORD and "B02" not in shop.bugs:
        return error_response(400, f"the password needs {MIN_PASSWORD} characters")
    if _is_taken(shop, email):
        return error_response(409, "the e-mail address is taken")
    key = shop.next_id("user")
    shop.users[key] = {"id": key, "email": email, "password": password, "name": name, "role": "customer"}
    return ShopResponse(201, _user_fields(shop, shop.users[key]))


def log_in(shop: Shop, email: str, password: str) -> ShopResponse:
    """A token; after three wrong passwords in a row the account is locked."""
    user = next((user for user in shop.users.values() if user["email"].lower() == email.lower()), None)
    if user is None:
        return error_response(401, "e-mail address or password is wrong")
    if shop.wrong_passwords.get(user["id"], 0) >= MAX_WRONG_PASSWORDS and "B04" not in shop.bugs:
        return error_response(423, "the account is locked")
    if user["password"] != password:
        shop.wrong_passwords[user["id"]] = shop.wrong_passwords.get(user["id"], 0) + 1
        return error_response(401, "e-mail address or password is wrong")
    shop.wrong_passwords.pop(user["id"], None)
    token = f"token-{shop.next_id('token')}"
    shop.tokens[token] = user["id"]
    return ShopResponse(200, {"token": token, "user_id": user["id"], "role": user["role"]})


def log_out(shop: Shop, token: str) -> ShopResponse:
    """Invalidate the token."""
    if shop.user(token) is None:
        return LOGGED_OUT
    if "B05" not in shop.bugs:
        del shop.tokens[token]
    return ShopResponse(204)


def me(shop: Shop, token: str) -> ShopResponse:
    """The account of the user."""
    user = shop.user(token)
    return LOGGED_OUT if user is None else ShopResponse(200, _user_fields(shop, user))


def _accessible_user(shop: Shop, token: str, user_id: int, read_only: bool = False) -> Row | ShopResponse:
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if user["id"] != user_id and user["role"] != "admin" and not (read_only and "B06" in shop.bugs):
        return FORBIDDEN
    return shop.users.get(user_id) or error_response(404, "no such user")


def read(shop: Shop, token: str, user_id: int) -> ShopResponse:
    """An account, for itself and for administrators."""
    user = _accessible_user(shop, token, user_id, read_only=True)
    return user if isinstance(user, ShopResponse) else ShopResponse(200, _user_fields(shop, user))


def change(shop: Shop, token: str, user_id: int, name: str | None, email: str | None) -> ShopResponse:
    """Another name, another e-mail address, or both."""
    user = _accessible_user(shop, token, user_id)
    if isinstance(user, ShopResponse):
        return user
    if email is not None:
        if not _is_email(email):
            return error_response(400, "the e-mail address is not valid")
        if email.lower() != user["email"].lower() and _is_taken(shop, email):
            return error_response(409, "the e-mail address is taken")
        user["email"] = email
    if name is not None:
        user["name"] = name
    return ShopResponse(200, _user_fields(shop, user))


def delete(shop: Shop, token: str, user_id: int) -> ShopResponse:
    """Delete the account and its tokens."""
    user = _accessible_user(shop, token, user_id)
    if isinstance(user, ShopResponse):
        return user
    del shop.users[user_id]
    shop.tokens = {token: owner for token, owner in shop.tokens.items() if owner != user_id}
    return ShopResponse(204)


def list_users(shop: Shop, token: str) -> ShopResponse:
    """All accounts, for administrators."""
    asking = shop.user(token)
    if asking is None:
        return LOGGED_OUT
    if asking["role"] != "admin":
        return FORBIDDEN
    users = [_user_fields(shop, user) for user in shop.users.values()]
    return ShopResponse(200, {"items": users, "total": len(users)})
