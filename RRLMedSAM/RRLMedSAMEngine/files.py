"""Files that are written whole or not at all, and outlast a power cut once they are there."""

import contextlib
import os
from pathlib import Path

from safetensors import SafetensorError

from .image import writing_error
from .ownership import part_of


@contextlib.contextmanager
def replacing(path: Path):
    """Gives a path beside ``path`` to write to; that file then takes its place.

    Raises `errors.WritingError` where the system or the writer fails; ``path`` is then as it was.
    """
    path = Path(path)
    part = Path(part_of(str(path)))
    try:
        yield part
        _settle(part, os.O_RDWR)
        part.replace(path)
        with contextlib.suppress(OSError):  # Windows opens no folder, and not every file system settles one
            _settle(path.parent, os.O_RDONLY)
    except (OSError, RuntimeError, SafetensorError) as error:  # RuntimeError: torch's writer, for a full disk too
        # While the part is still there: that the disk is full cannot be seen any more once it is gone.
        raise writing_error(error, path.parent) from error
    finally:
        part.unlink(missing_ok=True)


def _settle(path, access):
    handle = os.open(path, access)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
