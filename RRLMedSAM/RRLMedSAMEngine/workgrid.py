"""The isotropic, trimmed grids that registration works on, and the images on them."""

import dataclasses
import itertools

import numpy as np
import torch
import torch.nn.functional as F

from . import filters
from .geometry import Geometry
from .image import Volume
from .intensity import Window
from .sampling import lattice, nearest, sample

MARGIN_MM = 6.0  # air kept around the anatomy, never past a face that cuts it
COARSE_MM = 4.0  # resolution at which the anatomy's box is looked for
NEAR_MM = 6.0  # around a structure, what shows how it lies
CUT_SHARE = 0.02  # share of a face's voxels that are anatomy above which the face cuts it


@dataclasses.dataclass
class WorkImage:
    """An image on a work grid.

    ``image``: (k, j, i) float32, about 0..1. ``grid``: its isotropic, orthonormal geometry.
    ``foreground``: (k, j, i) bool, the anatomy; everything where the image fills its field of view.
    ``cut``: (3, 2) bool, whether the first and last face along i, j, k cut the anatomy.
    """

    image: torch.Tensor
    grid: Geometry
    foreground: torch.Tensor
    cut: np.ndarray

    @property
    def spacing(self) -> float:
        return float(self.grid.spacing[0])

    @property
    def extent_mm(self) -> np.ndarray:
        return self.grid.size_ijk * self.grid.spacing

    def coarser(self, spacing: float) -> "WorkImage":
        """The same image on a grid of larger voxels that keeps the position of its first voxel."""
        factor = spacing / self.spacing
        if factor < 1.01:
            return self
        matrix = self.grid.voxel_to_lps.copy()
        matrix[:3, :3] *= factor
        shape = [max(int(np.ceil((n - 1) / factor)) + 1, 2) for n in self.grid.shape]
        grid = Geometry(matrix, shape)
        at = lattice(shape, np.diag([factor, factor, factor, 1]), self.image.device)
        smooth = filters.gaussian(self.image, antialiasing_sigma(factor))
        share = filters.gaussian(self.foreground.to(self.image.dtype), antialiasing_sigma(factor))
        return WorkImage(sample(smooth[None], at)[0], grid, sample(share[None], at)[0] > 0.3, self.cut)


def antialiasing_sigma(factor: float) -> float:
    """Gaussian sigma in source voxels for a step of ``factor`` source voxels."""
    return 0.45 * factor if factor > 1.2 else 0.0


def anatomy_box(volume: Volume, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The box of the anatomy with its margin: first and last voxel (i, j, k), and which faces cut it (3, 2)."""
    size = volume.geometry.size_ijk
    if window.foreground is None:
        return np.zeros(3), size - 1.0, np.ones((3, 2), bool)
    steps = np.clip(np.round(COARSE_MM / volume.geometry.spacing).astype(int), 1, np.maximum(size // 8, 1))
    si, sj, sk = steps
    coarse = window.apply(volume.array[sk // 2 :: sk, sj // 2 :: sj, si // 2 :: si])
    body = filters.gaussian(torch.from_numpy(coarse), 0.7).numpy() > window.foreground
    first, last, cut = np.zeros(3), size - 1.0, np.zeros((3, 2), bool)
    if not body.any():
        return first, last, np.ones((3, 2), bool)
    margin = MARGIN_MM / volume.geometry.spacing
    for axis in range(3):
        profile = np.moveaxis(body, 2 - axis, 0).reshape(body.shape[2 - axis], -1).mean(axis=1)
        cut[axis] = profile[0] > CUT_SHARE, profile[-1] > CUT_SHARE
        inside = np.flatnonzero(profile > 0.001)
        if len(inside):
            if not cut[axis, 0]:
                first[axis] = max(0, (inside[0] - 0.5) * steps[axis] - margin[axis])
            if not cut[axis, 1]:
                last[axis] = min(size[axis] - 1, (inside[-1] + 1.5) * steps[axis] + margin[axis])
    return np.floor(first), np.ceil(last), cut


def plan_grid(geometry: Geometry, first: np.ndarray, last: np.ndarray, spacing: float) -> Geometry:
    """Isotropic grid over the box ``first``..``last`` (voxels i, j, k), its first voxel on one of the geometry's.

    So an image with this spacing is cropped, not interpolated. A sheared geometry gets the nearest rotation.
    """
    u, _, vt = np.linalg.svd(geometry.direction)
    matrix = np.eye(4)
    matrix[:3, :3] = (u @ vt) * spacing
    matrix[:3, 3] = geometry.to_lps(first)
    corners = np.array([[(first, last)[(n >> axis) & 1][axis] for axis in range(3)] for n in range(8)])
    at = (geometry.to_lps(corners) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    lower = np.floor(at.min(axis=0) + 1e-3)  # below zero only under shear
    matrix[:3, 3] += matrix[:3, :3] @ lower
    count = np.maximum(np.ceil(at.max(axis=0) - lower - 1e-3).astype(int) + 1, 2)
    return Geometry(matrix, tuple(count[::-1]))


def box_around(box, geometry: Geometry, grid: Geometry, reach_mm: float, affine=np.eye(4)) -> tuple:
    """The part of a ``box`` in the voxels of ``geometry``, both as for `anatomy_box`, in which the points of ``grid``
    lie, and ``reach_mm`` around; where it is smaller it cuts the anatomy. ``affine``: (4, 4), LPS mm, the grid's points
    -> the geometry's."""
    low, high = grid.corners.min(axis=0) - reach_mm, grid.corners.max(axis=0) + reach_mm
    around = np.array(list(itertools.product(*zip(low, high))))
    at = geometry.to_voxel(around @ affine[:3, :3].T + affine[:3, 3])
    first, last, cut = box
    inner_first = np.clip(np.floor(at.min(axis=0)), first, last - 1)
    inner_last = np.clip(np.ceil(at.max(axis=0)), first + 1, last)
    return inner_first, inner_last, cut | np.stack([inner_first > first, inner_last < last], axis=1)


def box_mm3(geometry: Geometry, box) -> float:
    """The volume of a box, as `anatomy_box` gives it."""
    first, last, _cut = box
    return float(np.prod((last - first + 1) * geometry.spacing))


def to_work_grid(volume: Volume, window: Window, spacing: float, box, device) -> WorkImage:
    """The volume in its window on a work grid over ``box`` (as `anatomy_box` gives it)."""
    first, last, cut = box
    lo, hi = np.maximum(first - 2, 0).astype(int), np.minimum(last + 3, volume.geometry.size_ijk).astype(int)
    crop = volume.array[lo[2] : hi[2], lo[1] : hi[1], lo[0] : hi[0]]
    # Whole voxels are averaged first, by slabs: a large CT is never held as float at full size.
    blocks = np.clip(np.floor(spacing / volume.geometry.spacing + 0.01).astype(int), 1, np.array(crop.shape[::-1]))
    image = _block_means(crop, window, blocks)
    shift = np.eye(4)
    shift[:3, :3] = np.diag(blocks.astype(float))
    shift[:3, 3] = lo + (blocks - 1) / 2
    source = Geometry(volume.geometry.voxel_to_lps @ shift, image.shape)
    grid = plan_grid(volume.geometry, first, last, spacing)
    image = image.to(device)
    image = filters.gaussian(image, [antialiasing_sigma(f) for f in spacing / source.spacing])
    image = sample(image[None], lattice(grid.shape, source.lps_to_voxel @ grid.voxel_to_lps, device))[0]
    if window.foreground is None:
        foreground = torch.ones_like(image, dtype=torch.bool)
    else:
        foreground = filters.gaussian(image, 0.7) > window.foreground
    return WorkImage(image, grid, foreground, cut)


def near_structures(labels: list[Volume], grid: Geometry, device, near_mm: float = NEAR_MM) -> torch.Tensor:
    """1 in and within about ``near_mm`` of the labelled structures, else 0: (k, j, i) float32 on ``grid``."""
    near = torch.zeros(grid.shape, device=device)
    for layer in labels:
        near += torch.from_numpy(nearest(layer.array, layer.geometry, grid) != 0).to(device)
    sigma = near_mm / 2 / grid.spacing[0]
    return (filters.gaussian(near.clamp_max(1), float(sigma)) > 0.02).to(torch.float32)


def _block_means(array: np.ndarray, window: Window, blocks: np.ndarray) -> torch.Tensor:
    """(k, j, i) averaged over ``blocks`` (i, j, k) voxels after windowing; a remainder at the far faces is dropped."""
    bi, bj, bk = (int(b) for b in blocks)
    if (bi, bj, bk) == (1, 1, 1):
        return torch.from_numpy(window.apply(array))
    slabs = []
    depth = max(1, 16 // bk) * bk
    for k in range(0, array.shape[0] - bk + 1, depth):
        part = torch.from_numpy(window.apply(array[k : min(k + depth, array.shape[0])]))
        slabs.append(F.avg_pool3d(part[None, None], (bk, bj, bi))[0, 0])
    return torch.cat(slabs)
