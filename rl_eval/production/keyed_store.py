"""The store with the privacy key of its servers: another key would give the same unit another pseudonym.

The first server on a store leaves the fingerprint of its key there. Every process with another key is refused.
"""

from __future__ import annotations

import contextlib

from rl_eval.errors import InputError
from rl_eval.production.config import ProductionConfig
from rl_eval.production.privacy import KEY_FILE, KEY_VARIABLE, find_key, fingerprint, read_key
from rl_eval.production.store import Store


def open_store(config: ProductionConfig, create: bool = True) -> Store:
    """The store, for a process that works without the key; a key that is at hand must be the right one.

    Args:
        create: see `Store`.

    Raises:
        InputError: it cannot be opened.
        WrongKeyError: it knows another key.
    """
    key = find_key(config.path)
    known = None if key is None else fingerprint(key)
    return Store(config.collect.store, config.path, create, policy=config.name, key=known)


def open_for_serving(config: ProductionConfig) -> tuple[Store, bytes]:
    """The store and the key, for a server. A store that nobody has served from gets a key where there is none.

    Raises:
        InputError: it cannot be opened, or there is no key of a store that has one.
        WrongKeyError: it knows another key.
    """
    key = find_key(config.path)
    if key is None:
        with contextlib.closing(Store(config.collect.store, config.path, policy=config.name)) as store:
            if store.known_key() is not None or store.outcomes(limit=1):
                raise _missing(config, store)
        key = read_key(config.path)
    return Store(config.collect.store, config.path, policy=config.name, key=fingerprint(key), claims=True), key


def open_for_erasing(config: ProductionConfig) -> tuple[Store, bytes]:
    """The store and the key that its pseudonyms were made with.

    Raises:
        InputError: it cannot be opened, there is no key, or no server has left a fingerprint.
        WrongKeyError: it knows another key.
    """
    key = find_key(config.path)
    store = open_store(config, create=False)
    try:
        if key is None:
            raise _missing(config, store)
        if store.known_key() is None and store.outcomes(limit=1):
            raise InputError(f"{store.database.label} does not know the key of its servers: start a server on it first")
    except BaseException:
        store.close()
        raise
    return store, key


def _missing(config: ProductionConfig, store: Store) -> InputError:
    return InputError(
        f"there is no privacy key, and {store.database.label} needs the key of its servers: put "
        f"{config.path / KEY_FILE} back, or set {KEY_VARIABLE}"
    )
