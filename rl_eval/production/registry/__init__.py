"""The registry: versions of a policy with their lineage, and the aliases that say which of them serves."""

from rl_eval.production.registry.artefact import read_owner_key
from rl_eval.production.registry.folder import FolderRegistry
from rl_eval.production.registry.later import LaterRegistry
from rl_eval.production.registry.once import of_training, register_once
from rl_eval.production.registry.opening import open_registry
from rl_eval.production.registry.protocol import (
    CHALLENGER,
    CHAMPION,
    Lineage,
    MissingRegistryError,
    Registry,
    RegistryError,
    StaleAliasError,
    Version,
)
from rl_eval.production.registry.whole import check_files

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "FolderRegistry",
    "LaterRegistry",
    "Lineage",
    "MissingRegistryError",
    "Registry",
    "RegistryError",
    "StaleAliasError",
    "Version",
    "check_files",
    "of_training",
    "open_registry",
    "read_owner_key",
    "register_once",
]
