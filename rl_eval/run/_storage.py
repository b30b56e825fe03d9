"""Errors of a disk: full, over quota, read-only or broken."""

from __future__ import annotations

import errno

# Any other OSError belongs to an environment or a service.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


def storage_error(error: BaseException) -> str | None:
    """A failure of the disk as the beginning of a sentence; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _STORAGE_ERRORS:
        return None
    return f"{error.filename or 'a file'} could not be written ({error.strerror})"
