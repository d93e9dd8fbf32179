"""NIfTI-1 files, compressed and written slab by slab.

ITK's writer tells nothing of a disk that fills up while it writes (measured with 2.5.7: the file is cut off, no
error), and it needs two more copies of a displacement field.
"""

import gzip
import struct

import numpy as np

from .geometry import Geometry
from .image import writing_error

SLAB = 1 << 22  # values compressed at once
MILLIMETRES, SCANNER, VECTOR = 2, 1, 1007  # NIFTI_UNITS_MM, NIFTI_XFORM_SCANNER_ANAT, NIFTI_INTENT_VECTOR
CODES = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64,
    "int8": 256, "uint16": 512, "uint32": 768, "int64": 1024, "uint64": 1280,
}  # fmt: skip


def write(path, array: np.ndarray, geometry: Geometry, check) -> None:
    """Writes ``array``, (k, j, i) or vectors (k, j, i, 3) with LPS components as ITK takes them, to a ``.nii.gz``.

    ``check()`` is called for each slab and may raise to stop. Raises EngineError (disk_full, or bad_input where the
    place cannot be written). After an error a file cut off may be left.
    """
    vectors = array.ndim == 4
    array = array if vectors else array[..., None]
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    rows = max(1, SLAB // int(np.prod(array.shape[1:3])))
    try:
        # Neither name nor time in the file: the same result gives the same bytes.
        with open(path, "wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as stream:
            stream.write(_header(array, geometry, vectors))
            for component in range(array.shape[3]):
                for first in range(0, array.shape[0], rows):
                    check()
                    stream.write(np.ascontiguousarray(array[first : first + rows, ..., component]).data)
    except OSError as error:
        raise writing_error(error) from error


def _header(array, geometry: Geometry, vectors: bool) -> bytes:
    """348 bytes of header and 4 that say that no extension follows."""
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.voxel_to_lps
    quaternion, handedness = _quaternion(to_ras[:3, :3] / geometry.spacing)
    size = [*array.shape[2::-1], 1, array.shape[3]] if vectors else [*array.shape[2::-1], 1, 1]
    dimensions = [5 if vectors else 3, *size, 1, 1]
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, *dimensions)
    struct.pack_into("<h", header, 68, VECTOR if vectors else 0)
    struct.pack_into("<2h", header, 70, CODES[array.dtype.name], 8 * array.dtype.itemsize)
    struct.pack_into("<8f", header, 76, handedness, *geometry.spacing, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)  # where the values begin, slope, intercept
    struct.pack_into("<B", header, 123, MILLIMETRES)
    struct.pack_into("<2h", header, 252, SCANNER if geometry.is_orthonormal else 0, SCANNER)
    struct.pack_into("<6f", header, 256, *quaternion, *to_ras[:3, 3])
    struct.pack_into("<12f", header, 280, *to_ras[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header)


def _quaternion(rotation: np.ndarray) -> tuple[np.ndarray, float]:
    """b, c, d of the unit quaternion (a >= 0) of a rotation (3, 3), and -1 where k must be turned to make it one."""
    handedness = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    r = rotation * [1, 1, handedness]
    # The largest of the four is taken from the diagonal, the others from it: exact at half turns, too.
    products = np.array([
        [1 + r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
        [r[2, 1] - r[1, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]],
        [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[2, 1] + r[1, 2]],
        [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2], 1 - r[0, 0] - r[1, 1] + r[2, 2]],
    ])  # fmt: skip
    row = products[np.argmax(np.diag(products))]
    quaternion = row / np.linalg.norm(row)
    return quaternion[1:] * (1.0 if quaternion[0] >= 0 else -1.0), handedness
