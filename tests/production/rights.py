"""Rights of files as others have them, also where the tests run as root."""

import contextlib
import ctypes
import os

import pytest

_CAPGET, _CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}.get(os.uname().machine, (None, None))
_VERSION_3 = 0x20080522
_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextlib.contextmanager
def rights_of_files_count():
    """Inside, this thread may do with files what their modes say, whoever it is."""
    if os.geteuid() != 0:
        yield
        return
    if _CAPGET is None:
        pytest.skip(f"how root gives up rights on {os.uname().machine} is not known here")
    libc = ctypes.CDLL(None, use_errno=True)
    header, rights = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()

    def call(number):
        if libc.syscall(number, header, rights) != 0:
            raise OSError(ctypes.get_errno(), "the rights of this thread cannot be changed")

    call(_CAPGET)
    effective = rights[0]
    rights[0] = effective & ~_OVERRIDES
    call(_CAPSET)
    try:
        yield
    finally:
        rights[0] = effective
        call(_CAPSET)
