"""The private folder in which volumes travel to the worker and back, as ``.npy`` files.

Files are written and read piece by piece, by generators, so that the application stays alive meanwhile.
They are never mapped into memory: with a full disk, or a file cut off, that would end the process.
"""

import os
import shutil
import stat
import tempfile
import time

import numpy as np
import slicer
from RRLMedSAMEngine import ownership

PREFIX = "RRLMedSAM-exchange-"  # which nobody gives a folder of their own
SUFFIXES = (".npy", ".part")  # of what either side writes, beside the lock
PIECE = 1 << 20  # values handled between two yields: a few milliseconds
ADOPTION_SECONDS = 60  # a folder younger than that without a lock is just being made


def temporaryFolder():
    """The one of Slicer's settings, which Python does not know; the system's where there is none, as without an
    application."""
    path = getattr(getattr(slicer, "app", None), "temporaryPath", "")
    return path if os.path.isdir(path) else tempfile.gettempdir()


class ExchangeFolder:
    """A folder that only this user can read, locked as long as its owner lives."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=temporaryFolder())
        self._claim = ownership.claim(self.path)

    def file(self, name):
        return os.path.join(self.path, name)

    def remove(self):
        """Removes the folder; what a dying worker still holds open is left to `removeStaleFolders`."""
        self._claim.close()
        shutil.rmtree(self.path, ignore_errors=True)


def removeStaleFolders():
    """Removes the exchange folders that a crashed application left."""
    with os.scandir(temporaryFolder()) as entries:
        folders = [entry.path for entry in entries if entry.name.startswith(PREFIX) and _isStale(entry)]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _isStale(entry):
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # its owner has removed it just now
        return False
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        return False
    try:
        return ownership.is_abandoned(entry.path)
    except FileNotFoundError:
        return time.time() - status.st_mtime > ADOPTION_SECONDS and _holdsOnlyArrays(entry.path)


def _holdsOnlyArrays(folder):
    try:
        with os.scandir(folder) as entries:
            return all(entry.name.endswith(SUFFIXES) and entry.is_file(follow_symlinks=False) for entry in entries)
    except OSError:  # its owner has removed it just now
        return False


def pieces(shape, values=None):
    """Slices along the first axis, each of about so many values; without a number, of `PIECE`."""
    rows = max(1, (values or PIECE) // max(1, int(np.prod(shape[1:]))))
    return [slice(start, min(start + rows, shape[0])) for start in range(0, shape[0], rows)]


def writing(path, array):
    """Generator that writes the array, a piece at each step."""
    # The file says the byte order; MRML's arrays are native.
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces(array.shape):
            file.write(np.ascontiguousarray(array[piece]).data)
            yield


def reading(path, shape):
    """Generator of (slice along the first axis, array of that piece).

    Raises ValueError where the file is no array of this shape, or is cut off.
    """
    with open(path, "rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("unexpected version of the array file")
        found, fortranOrder, dtype = np.lib.format.read_array_header_1_0(file)
        if fortranOrder or tuple(found) != tuple(shape):
            raise ValueError(f"expected an array {tuple(shape)}, found {tuple(found)}")
        for piece in pieces(shape):
            values = np.fromfile(file, dtype, (piece.stop - piece.start) * int(np.prod(shape[1:])))
            yield piece, values.reshape(piece.stop - piece.start, *shape[1:])
