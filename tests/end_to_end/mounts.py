"""File systems of a test's own, seen by this thread and by the processes that it starts: they are gone with them."""

import ctypes
import os
import pathlib
import unittest

CLONE_NEWNS = 0x20000  # sched.h
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18  # sys/mount.h
MNT_DETACH = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def call(function, *args):
    if function(*args) != 0:
        raise OSError(ctypes.get_errno(), f"{function.__name__}: {os.strerror(ctypes.get_errno())}")


def private():
    """Until the end of the process; skips the test where this is not allowed."""
    try:
        call(LIBC.unshare, CLONE_NEWNS)
        call(LIBC.mount, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    except OSError as error:
        raise unittest.SkipTest(f"no file system can be mounted here: {error}") from error


def small(path, size_bytes):
    """An empty folder in which no more than so many bytes have room."""
    path.mkdir()
    call(LIBC.mount, b"none", os.fsencode(path), b"tmpfs", 0, f"size={size_bytes}".encode())


def read_only(path):
    """A folder as it is, in which nothing may be changed."""
    call(LIBC.mount, os.fsencode(path), os.fsencode(path), None, MS_BIND, None)
    call(LIBC.mount, b"none", os.fsencode(path), None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)


def release(path):
    """Before the folder is removed."""
    call(LIBC.umount2, os.fsencode(path), MNT_DETACH)


def fill(folder):
    """Leaves no room in a folder's file system; the file to remove when there is to be some again."""
    ballast = pathlib.Path(folder) / "ballast"
    with open(ballast, "wb", buffering=0) as out:
        size = 1 << 20
        while size:
            try:
                if out.write(bytes(size)) < size:
                    size //= 2
            except OSError:
                size //= 2
    return ballast
