"""The audit log: one append-only file in which every line holds the hash of the one before."""

from rl_eval.production.audit.log import AuditError, AuditLog, append_where_configured
from rl_eval.production.audit.verify import Checked, verify

__all__ = ["AuditError", "AuditLog", "Checked", "append_where_configured", "verify"]
