"""Slices of a volume in three orientations, and a teacher's features of them, computed once and kept on the disk."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from ..files import replacing
from ..networks.teachers import Teacher, cell_centres


def slice_across(volume: torch.Tensor, axis: int, index: int) -> torch.Tensor:
    """Slice ``index`` across ``axis`` (0: k, 1: j, 2: i) of a volume (k, j, i): rows and columns are the other two
    axes, in that order."""
    return volume.select(axis, index)


def cells_on_slice(shape, axis: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which cells of a feature map have their centre on the slice `slice_across` takes of a volume ``shape`` (k, j, i),
    not in its padding: (64, 64) bool. And these centres: (3, n) voxels, (i, j, k), in the order the mask picks them."""
    height, width = (n for a, n in enumerate(shape) if a != axis)
    centres = cell_centres(height, width)
    row, column = torch.meshgrid(centres, centres, indexing="ij")
    inside = (row < height - 0.5) & (column < width - 0.5)
    voxels = [row[inside], column[inside]]
    voxels.insert(axis, torch.full_like(voxels[0], index))
    return inside, torch.stack(voxels[::-1])


class FeatureCache:
    """Features of single slices, 2 MB each, in ``folder``, which must exist. Nothing is held in memory."""

    def __init__(self, teacher: Teacher, folder: Path):
        self._teacher, self._folder = teacher, Path(folder)

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """The teacher's features (256, 64, 64), float32 with float16's accuracy, of a slice (h, w); on the CPU.

        A damaged file is made again. Raises EngineError where the folder cannot be written to.
        """
        path = self._path(image)
        values = _read(path)
        if values is None:
            values = self._teacher.features(image[None])[0].cpu().numpy().astype(np.float16)
            _write(path, values)
        return torch.from_numpy(values).float()

    def _path(self, image: torch.Tensor) -> Path:
        content = np.ascontiguousarray(image.cpu().numpy(), np.float32)
        digest = hashlib.sha256(f"{self._teacher.identity} {content.shape}".encode())
        digest.update(content.tobytes())
        return self._folder / f"{digest.hexdigest()}.npy"


def _read(path: Path) -> np.ndarray | None:
    """None where there is no such file or it is damaged."""
    try:
        with open(path, "rb") as file:
            # Not np.load: damage may look like another of its formats.
            values = np.lib.format.read_array(file, allow_pickle=False)
    except Exception:  # a damaged header makes it raise almost anything
        return None
    return values if values.dtype == np.float16 and values.ndim == 3 and np.isfinite(values).all() else None


def _write(path: Path, values: np.ndarray) -> None:
    with replacing(path) as part, open(part, "wb") as file:
        np.save(file, values)
