"""Temporary folders for databases that live as long as a run of tests."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108  # Linux keeps what is here in memory.
_MEMORY_BYTES_MIN = 4_000_000_000


def temporary_folder(prefix: str, *, in_memory: bool = True) -> Path:
    """A new folder, named after `prefix` and this process; those of dead processes are removed first.

    In memory, where a database is made and dropped in half the time, if there is plenty of it.
    """
    _sweep(prefix)
    place = _place() if in_memory else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place))
    # Root lends PostgreSQL to another user, who must be able to pass through.
    folder.chmod(0o711)
    return folder


def _place() -> Path:
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES_MIN:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _sweep(prefix: str) -> None:
    """Remove what earlier runs that were killed have left."""
    left = (Path(tempfile.gettempdir()).glob(f"{prefix}*-*"), _MEMORY.glob(f"{prefix}*-*"))
    for folder in itertools.chain(*left):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            # Another run may be sweeping, too.
            with contextlib.suppress(FileNotFoundError):
                if folder.lstat().st_uid == os.geteuid() and not folder.is_symlink():
                    shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OverflowError, PermissionError):
            continue
