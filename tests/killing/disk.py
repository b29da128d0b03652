"""Disks that fail: one that loses its power, one that is full. Root and Linux only, in a mount
namespace of our own, so that nobody else sees them and they vanish with the process.

The power cut is the file system's own shutdown without flushing its log: what was not on the
platter is gone, as when the plug is pulled (ext4, EXT4_IOC_SHUTDOWN with NOLOGFLUSH).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2
# Sessions of a killed server end one after the other, on a crowded machine slowly.
UNMOUNT_SECONDS = 120.0
_CLONE_NEWNS = 0x00020000


class NoDisk(Exception):
    """This machine cannot make such a disk; the text says why."""


def own_namespace() -> None:
    """From here on our mounts are nobody else's. Raises NoDisk."""
    if os.geteuid() != 0:
        raise NoDisk("only root can mount")
    if shutil.which("mkfs.ext4") is None:
        raise NoDisk("there is no mkfs.ext4")
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise NoDisk(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    _run("mount", "--make-rprivate", "/")


class PowerDisk:
    """An ext4 in a file; `cut` pulls the plug, `mount` brings it back."""

    def __init__(self, place: Path, megabytes: int = 700) -> None:
        self._place = place
        self._file = place.with_suffix(".ext4")
        place.mkdir(mode=0o711)
        with self._file.open("wb") as file:
            file.truncate(megabytes * 2**20)
        _run("mkfs.ext4", "-q", "-F", str(self._file))

    def mount(self) -> None:
        """Bring it (back) into its place; the file system repairs itself from its log."""
        _run("mount", "-o", "loop", str(self._file), str(self._place))
        self._place.chmod(0o711)

    def cut(self) -> None:
        """Power is gone: nothing more reaches the disk, not even what was already handed over."""
        handle = os.open(self._place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(handle)

    def unmount(self) -> None:
        """Take it away; waits until nobody holds a file of it. Raises TimeoutError."""
        _unmount(self._place)

    def flush(self) -> None:
        """All that was written until now is on the disk."""
        os.sync()


class SmallDisk:
    """A tmpfs that can be made full and empty again."""

    def __init__(self, place: Path, megabytes: int = 600) -> None:
        self._place = place
        self._ballast = place / "ballast"
        place.mkdir(mode=0o711)
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(place))

    def fill(self, leave_megabytes: int) -> None:
        """Leave so much room and no more."""
        handle = os.open(self._ballast, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            while True:
                room = os.statvfs(self._place)
                free = room.f_bavail * room.f_frsize - leave_megabytes * 2**20
                if free <= 0:
                    return
                # Others take room meanwhile; what is left is looked at again.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(handle, os.fstat(handle).st_size, free)
        finally:
            os.close(handle)

    @property
    def free_megabytes(self) -> float:
        """The room that is left."""
        room = os.statvfs(self._place)
        return room.f_bavail * room.f_frsize / 2**20

    def empty(self) -> None:
        """Somebody made room."""
        self._ballast.unlink()

    def unmount(self) -> None:
        """Take it away. Raises TimeoutError."""
        _unmount(self._place)


def _unmount(place: Path) -> None:
    deadline = time.monotonic() + UNMOUNT_SECONDS
    while True:
        with contextlib.suppress(NoDisk):
            _run("umount", str(place))
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{place} stays busy: {_holders(place)}")
        time.sleep(0.1)


def _holders(place: Path) -> list[str]:
    """Who has a file open there: process number and command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            links = [
                process / "cwd",
                *(process / "fd").iterdir(),
                *(process / "map_files").iterdir(),
            ]
            if any(os.readlink(link).startswith(f"{place}/") for link in links):
                found.append(f"{process.name} {(process / 'cmdline').read_bytes()[:60]!r}")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise NoDisk(f"{' '.join(command)}: {done.stderr.strip()}")
