"""What ITK does not do well with NIfTI-1 files.

Its writer tells nothing of a disk that fills up, and needs two more copies of a displacement field; its reader tells
nothing of a file that is cut off (both measured with SimpleITK 2.5.7).
"""

import gzip
import math
import os
import struct
import zlib

import numpy as np

from .geometry import Geometry

SLAB = 1 << 22  # values compressed at once
MILLIMETRES, SCANNER, VECTOR = 2, 1, 1007  # NIFTI_UNITS_MM, NIFTI_XFORM_SCANNER_ANAT, NIFTI_INTENT_VECTOR
CODES = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64,
    "int8": 256, "uint16": 512, "uint32": 768, "int64": 1024, "uint64": 1280,
}  # fmt: skip


def write(path, array: np.ndarray, geometry: Geometry, check) -> None:
    """Writes ``array``, (k, j, i) or vectors (k, j, i, 3) with LPS components as ITK takes them, to a ``.nii.gz``.

    ``check()`` is called for each slab and may raise to stop. Raises OSError; a file cut off may be left then.
    """
    vectors = array.ndim == 4
    array = array if vectors else array[..., None]
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    rows = max(1, SLAB // int(np.prod(array.shape[1:3])))
    # Neither name nor time in the file: the same result gives the same bytes.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as stream:
        stream.write(_header(array, geometry, vectors))
        for component in range(array.shape[3]):
            for first in range(0, array.shape[0], rows):
                check()
                stream.write(np.ascontiguousarray(array[first : first + rows, ..., component]).data)


def is_whole(path) -> bool:
    """Whether a file holds all the values that its header promises; True for what is no ``.nii`` or ``.nii.gz``."""
    if not str(path).lower().endswith((".nii", ".nii.gz")) or not os.path.isfile(path):
        return True
    with open(path, "rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if is_compressed else open)(path, "rb") as stream:
            expected = _promised_bytes(stream.read(348))
            if expected is None:
                return True
            if not is_compressed:
                return os.path.getsize(path) >= expected
            # gzip ends with the size modulo 2^32; where that does not fit, the file may still have several parts.
            if _last_word(path) == expected % 2**32:
                return True
            return stream.seek(expected) == expected
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False


def _promised_bytes(header: bytes) -> int | None:
    """Size of the file, uncompressed, by the header of NIfTI-1; None for another kind of header."""
    for order in "<>":
        if len(header) == 348 and struct.unpack_from(order + "i", header)[0] == 348:
            count, *size = struct.unpack_from(order + "8h", header, 40)
            bits = struct.unpack_from(order + "h", header, 72)[0]
            offset = struct.unpack_from(order + "f", header, 108)[0]
            return int(offset) + math.prod(size[: max(count, 0)]) * bits // 8
    return None


def _last_word(path) -> int:
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        return struct.unpack("<I", file.read(4))[0]


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
