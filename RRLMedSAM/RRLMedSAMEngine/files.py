"""Files that are written whole or not at all, and outlast a power cut once they are there."""

import contextlib
import errno
import os
import shutil
import time
from pathlib import Path

from .errors import WritingError
from .ownership import part_of

# Seconds for which a refusal may be no more than a virus scanner, an indexer or a sync client that looks at a new file:
# Windows then neither renames nor removes it, nor renames its folder.
PATIENCE = 2.0 if os.name == "nt" else 0.0
PAUSE = 0.05  # seconds between two tries


def patiently(act, *paths) -> None:
    """Calls ``act``, as `os.replace` or `os.unlink`, with the paths; again where Windows refuses it for a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            act(*paths)
            return
        except PermissionError:
            if time.monotonic() >= end:
                raise
        time.sleep(PAUSE)


@contextlib.contextmanager
def replacing(path: Path):
    """Gives a path beside ``path`` to write to; that file then takes its place.

    Raises `errors.WritingError` where the system or the writer fails; ``path`` is then as it was.
    """
    from safetensors import SafetensorError  # here: images and their results are written without it

    path = Path(path)
    part = Path(part_of(str(path)))
    try:
        yield part
        _settle(part, os.O_RDWR)
        patiently(os.replace, part, path)
        with contextlib.suppress(OSError):  # Windows opens no folder, and not every file system settles one
            _settle(path.parent, os.O_RDONLY)
    except (OSError, RuntimeError, SafetensorError) as error:  # RuntimeError: torch's writer, for a full disk too
        # While the part is still there: that the disk is full cannot be seen any more once it is gone.
        raise writing_error(error, path.parent) from error
    finally:
        with contextlib.suppress(OSError):  # what cannot be moved may not be removed either
            part.unlink(missing_ok=True)


def writing_error(error: Exception, folder=None) -> WritingError:
    """The user's error for one of the system's or of ITK, which names no reason when a write fails."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if not full and folder is not None and os.path.isdir(folder):
        full = shutil.disk_usage(folder).free < 1 << 20
    if full:
        return WritingError("disk_full", "The disk is full.", "Free some space or choose another output folder.")
    return WritingError(
        "bad_input", "The result could not be written.", "Choose an output folder that you may write to."
    )


def _settle(path, access):
    handle = os.open(path, access)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
