"""The HTTP client of the product, the checks of addresses that its requests go to, and what its servers share.

- `parse_url` and `parse_base_url` check an address; `Url.is_loopback` says whether it is on this machine.
- `Client` sends requests to one URL and below it. `Limits` bound them, and a `RequestError` names the failed request.
- `accepts_connections` says whether a server can be reached.
- `listening_socket`, `UVICORN` and `read_body` are for servers.
- `environment_token` is the bearer token of `rl-eval serve`, for the server and for those who ask it.

Importing this is light: httpcore is loaded by the first `Client`.
"""

from rl_eval.net.address import AddressError, Url, parse_base_url, parse_url
from rl_eval.net.client import Client, Limits, RequestError, Response
from rl_eval.net.listener import LOOPBACK, UVICORN, TooLargeError, listening_socket, read_body
from rl_eval.net.reachability import accepts_connections
from rl_eval.net.token import TOKEN_VARIABLE, environment_token

__all__ = [
    "LOOPBACK", "TOKEN_VARIABLE", "UVICORN", "AddressError", "Client", "Limits", "RequestError", "Response",
    "TooLargeError", "Url", "accepts_connections", "environment_token", "listening_socket", "parse_base_url",
    "parse_url", "read_body",
]  # fmt: skip
