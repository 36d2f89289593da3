"""Giving up the rights of a process for good, as far as the system can take them away.

Each layer is tried by itself, and a system that lacks one keeps the others. Linux has the strong
ones: Landlock, after which no file can be opened, and seccomp, after which only computing and the
files already open are left. Both are a few calls of the kernel; the packages that wrap them are
previews, or need a C library that is seldom there, so the calls are made here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable

from vizlib.budgets import (
    CHILD_CPU_SECONDS,
    CHILD_MEMORY_BYTES,
    CHILD_OPEN_FILES,
    MAX_JSON_BYTES,
    MAX_WEIGHT_BYTES,
    MIB,
)


def give_up_rights() -> tuple[str, ...]:
    """Give up every right that reading two open files does not need, for good.

    Returns
    -------
    tuple of str
        Names of the layers that this system has; a missing one is no error.
    """
    return tuple(name for name, close in _LAYERS.items() if _works(close))


def _works(close: Callable[[], bool]) -> bool:
    try:
        return close()
    # A layer that a system lacks fails in ways of its own; the others still count.
    except Exception:
        return False


def _limit_resources() -> bool:
    import resource  # not on Windows

    answer = MAX_WEIGHT_BYTES + MAX_JSON_BYTES + MIB
    limits = {
        "RLIMIT_AS": CHILD_MEMORY_BYTES,
        "RLIMIT_CPU": CHILD_CPU_SECONDS,
        "RLIMIT_FSIZE": answer,
        "RLIMIT_NOFILE": CHILD_OPEN_FILES,
        "RLIMIT_NPROC": 0,
        "RLIMIT_CORE": 0,
    }
    done = 0
    for name, limit in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            # The end of computing time is announced by a signal, and comes one second later.
            most = limit + (name == "RLIMIT_CPU")
            resource.setrlimit(getattr(resource, name), (limit, most))
            done += 1
    return done > 0


# Numbers of the Linux kernel, from its headers prctl.h, landlock.h, seccomp.h and audit.h.
_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES, _SET_SECCOMP = 1, 38, 22
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_ASK_VERSION = 444, 446, 1
_LANDLOCK_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many, by version
_LANDLOCK_NETWORK, _LANDLOCK_SCOPES = 0b11, 0b11  # bind and connect; sockets and signals


def _prctl(option: int, *values: int) -> bool:
    numbers = (*values, 0, 0, 0, 0)[:4]
    return _libc().prctl(option, *(ctypes.c_ulong(number) for number in numbers)) == 0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> bool:
    return _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _refuse_new_privileges() -> bool:
    return _prctl(_SET_NO_NEW_PRIVILEGES, 1)


def _landlock() -> bool:
    """Forbid to open, make, change or remove any file, and to use TCP or signal others."""
    call = _libc().syscall
    version = call(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_ASK_VERSION)
    if version < 1:
        return False
    handled = struct.pack(
        "<QQQ",
        (1 << _LANDLOCK_FILE_RIGHTS.get(version, 16)) - 1,
        _LANDLOCK_NETWORK if version >= 4 else 0,
        _LANDLOCK_SCOPES if version >= 6 else 0,
    )
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = call(_LANDLOCK_CREATE, handled, ctypes.c_size_t(size), 0)
    restricted = rules >= 0 and call(_LANDLOCK_RESTRICT, rules, 0) == 0
    if rules >= 0:
        os.close(rules)
    return restricted


# What Python needs to compute, to use open files and to end: system calls by their numbers on
# the architectures that are known, and how seccomp names these.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    "read": {"x86_64": 0, "aarch64": 63},
    "write": {"x86_64": 1, "aarch64": 64},
    "close": {"x86_64": 3, "aarch64": 57},
    "fstat": {"x86_64": 5, "aarch64": 80},
    "lseek": {"x86_64": 8, "aarch64": 62},
    "mmap": {"x86_64": 9, "aarch64": 222},
    "mprotect": {"x86_64": 10, "aarch64": 226},
    "munmap": {"x86_64": 11, "aarch64": 215},
    "brk": {"x86_64": 12, "aarch64": 214},
    "rt_sigaction": {"x86_64": 13, "aarch64": 134},
    "rt_sigprocmask": {"x86_64": 14, "aarch64": 135},
    "rt_sigreturn": {"x86_64": 15, "aarch64": 139},
    "pread64": {"x86_64": 17, "aarch64": 67},
    "pwrite64": {"x86_64": 18, "aarch64": 68},
    "readv": {"x86_64": 19, "aarch64": 65},
    "writev": {"x86_64": 20, "aarch64": 66},
    "sched_yield": {"x86_64": 24, "aarch64": 124},
    "mremap": {"x86_64": 25, "aarch64": 216},
    "madvise": {"x86_64": 28, "aarch64": 233},
    "getpid": {"x86_64": 39, "aarch64": 172},
    "exit": {"x86_64": 60, "aarch64": 93},
    "ftruncate": {"x86_64": 77, "aarch64": 46},
    "gettimeofday": {"x86_64": 96, "aarch64": 169},
    "gettid": {"x86_64": 186, "aarch64": 178},
    "futex": {"x86_64": 202, "aarch64": 98},
    "restart_syscall": {"x86_64": 219, "aarch64": 128},
    "clock_gettime": {"x86_64": 228, "aarch64": 113},
    "exit_group": {"x86_64": 231, "aarch64": 94},
    "getrandom": {"x86_64": 318, "aarch64": 278},
}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050001  # _FAIL: "operation not permitted"
_CALL_NUMBER, _ARCHITECTURE = 0, 4  # places in struct seccomp_data


class _Program(ctypes.Structure):
    """struct sock_fprog: a filter of system calls."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def _seccomp() -> bool:
    """Let every system call fail that is not in the list: no open, socket, fork, exec, kill."""
    machine = platform.machine()
    calls = [numbers[machine] for numbers in _CALLS.values()]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _CALL_NUMBER),
        *((_JUMP_IF_EQUAL, len(calls) - place, 0, number) for place, number in enumerate(calls)),
        (_RETURN, 0, 0, _FAIL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("<HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    return _prctl(_SET_SECCOMP, 2, ctypes.addressof(program))


_LAYERS: dict[str, Callable[[], bool]] = {
    "resource limits": _limit_resources,
    "ends with its parent": _die_with_parent,
    "no new privileges": _refuse_new_privileges,
    "Landlock": _landlock,
    "seccomp": _seccomp,
}
