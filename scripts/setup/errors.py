"""Failures a person can act on: one line that says what and where, one remedy, one documented exit code."""

from __future__ import annotations

import errno

USAGE = 2
INPUT = 3
INTEGRITY = 5
RESOURCES = 7


class SetupError(Exception):
    """An expected failure. Everything else that escapes is a bug of this package."""

    def __init__(self, message: str, remedy: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}"


def usage(message: str, remedy: str) -> SetupError:
    """The command line asks for something that does not exist."""
    return SetupError(message, remedy, USAGE)


def bad_input(message: str, remedy: str) -> SetupError:
    """A file that a person wrote, such as the list of pins, is malformed."""
    return SetupError(message, remedy, INPUT)


def integrity(message: str, remedy: str) -> SetupError:
    """Bytes are not the bytes that were pinned."""
    return SetupError(message, remedy, INTEGRITY)


def resources(message: str, remedy: str) -> SetupError:
    """Network, disk or a tool is missing; the same command works once it is there."""
    return SetupError(message, remedy, RESOURCES)


def from_os_error(error: OSError) -> SetupError:
    """Turns a failed system call into a line with a remedy."""
    where = error.filename if error.filename is not None else "the cache folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return resources(
            f"no space left while writing {where}",
            "free some disk space or point DUBENCH_CACHE at a larger disk, then run the same command again",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return resources(
            f"{where} is not writable ({error.strerror})", "point DUBENCH_CACHE at a folder that you may write to"
        )
    return resources(f"{where}: {error.strerror or error}", "check the disk, then run the same command again")
