"""Volumes in the exchange folder that the panel makes: ``.npy`` files, (k, j, i) in memory."""

import contextlib
import os
from pathlib import Path

import numpy as np

from .errors import Cancelled, bad_input
from .files import patiently, writing_error
from .geometry import Geometry
from .image import Volume
from .protocol import Array, Field

SLAB = 1 << 22  # values written between two looks at Cancel


def read(folder: str, array: Array, whole_numbers: bool = False) -> Volume:
    """The volume, mapped from its file. Raises EngineError bad_input."""
    what = "label map" if whole_numbers else "volume"
    try:
        values = np.load(_inside(folder, array.file), mmap_mode="r", allow_pickle=False)
        if values.ndim != 3 or values.dtype.kind not in ("iub" if whole_numbers else "iubf"):
            raise ValueError(f"{values.ndim} dimensions of {values.dtype}")
        return Volume(np.asarray(values), Geometry(np.array(array.voxel_to_lps), values.shape))
    except (OSError, ValueError, EOFError) as error:
        raise bad_input(
            f"A {what} did not arrive whole, or its spacing or direction is not valid.",
            "Check its geometry, then run again.",
        ) from error


def read_field(folder: str, field: Field) -> tuple[np.ndarray, Geometry]:
    """The displacements (k, j, i, 3), LPS mm, and their grid. Raises EngineError bad_input."""
    try:
        values = np.load(_inside(folder, field.file), mmap_mode="r", allow_pickle=False)
        if values.ndim != 4 or values.shape[3] != 3 or values.dtype.kind != "f":
            raise ValueError(f"{values.shape} of {values.dtype}")
        return np.asarray(values), Geometry(np.array(field.voxel_to_lps), values.shape[:3])
    except (OSError, ValueError, EOFError) as error:
        raise bad_input("The deformation did not arrive whole.", "Segment the target again.") from error


class Outputs:
    """The files that one run writes into its folder; they are taken back when the ``with`` block ends in an error."""

    def __init__(self, folder: str, cancelled):
        self._folder, self._cancelled = folder, cancelled
        self._paths: list[Path] = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, where):
        if kind is not None:
            for path in self._paths:
                with contextlib.suppress(OSError):  # the panel removes the folder
                    path.unlink(missing_ok=True)

    def write(self, name: str, array: np.ndarray) -> str:
        """Writes the array under a temporary name, then renames it; returns ``name``. Raises EngineError.

        Not through mapped memory: on a full disk that ends the process.
        """
        path = _inside(self._folder, name)
        part = path.with_suffix(".part")
        self._paths += [path, part]
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        rows = max(1, SLAB // int(np.prod(array.shape[1:])))
        try:
            with open(part, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for first in range(0, len(array), rows):
                    if self._cancelled():
                        raise Cancelled()
                    file.write(np.ascontiguousarray(array[first : first + rows]).data)
            patiently(os.replace, part, path)
        except OSError as error:
            raise writing_error(error) from error
        return name


def _inside(folder: str, name: str) -> Path:
    """The path of a file right in the folder; ValueError for a name that leads elsewhere."""
    if os.path.basename(name) != name or name in ("", ".", ".."):
        raise ValueError("not a plain file name")
    return Path(folder) / name
