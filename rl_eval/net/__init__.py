"""The HTTP client of the product, and the checks of addresses that its requests go to.

- `parse_url` and `parse_base_url` check an address; `Url.is_loopback` says whether it is on this machine.
- `Client` sends requests to one URL and below it. `Limits` bound them, and a `RequestError` names the failed request.
- `accepts_connections` says whether a server can be reached.

Importing this is light: httpcore is loaded by the first `Client`.
"""

from rl_eval.net.address import AddressError, Url, parse_base_url, parse_url
from rl_eval.net.client import Client, Limits, RequestError, Response
from rl_eval.net.reachability import accepts_connections

__all__ = [
    "AddressError", "Client", "Limits", "RequestError", "Response", "Url", "accepts_connections", "parse_base_url",
    "parse_url",
]  # fmt: skip
