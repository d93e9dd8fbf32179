"""The atlas's frame: one grid, in the atlas's space, on which the networks see every image.

A target is brought into it by the affine alignment, so that position, orientation and size are much the same for all
of them. Its axes are those of the world (LPS), whichever way the atlas was stored.
"""

import dataclasses

import numpy as np
import torch

from . import workgrid
from .geometry import Geometry
from .image import Volume
from .intensity import Window
from .labels import bounding_box
from .sampling import lattice, nearest, sample
from .workgrid import WorkImage

MARGIN_MM, MARGIN = 6.0, 6  # mm and voxels around the structures, at least: what an affine transform leaves over
MULTIPLE = 4  # voxels
REACH = 4  # voxels of the atlas's image around the frame: what smoothing and interpolation look at
SMALLEST = 20  # voxels along an axis: more than one is left of it where the networks see a sixteenth
MOST_VOXELS = 8e6
CONTINUED_MM = 8.0  # beyond a face that cuts the anatomy: so far what is there is likely to be as at the face


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """``grid``: isotropic, axes along LPS, its size a multiple of `MULTIPLE` along each axis."""

    grid: Geometry

    @property
    def spacing(self) -> float:
        return float(self.grid.spacing[0])

    @property
    def half(self) -> Geometry:
        """The grid of the networks' finest features: half as many voxels along each axis."""
        matrix = self.grid.voxel_to_lps.copy()
        matrix[:3, 3] = self.grid.to_lps(np.full(3, 0.5))
        matrix[:3, :3] *= 2
        return Geometry(matrix, tuple(n // 2 for n in self.grid.shape))

    def atlas_image(self, volume: Volume, window: Window, box, device) -> WorkImage:
        """The atlas's image where the frame lies, as finely as the frame: of a large CT with one small organ not all.

        ``box``: the anatomy's, `workgrid.anatomy_box`.
        """
        here = workgrid.box_around(box, volume.geometry, self.grid, REACH * self.spacing)
        return workgrid.to_work_grid(volume, window, self.spacing, here, device)

    def image(self, target: WorkImage, affine: np.ndarray, atlas: torch.Tensor | None = None) -> torch.Tensor:
        """The target's image in the frame: (k, j, i). ``affine``: (4, 4), LPS mm, target point -> atlas point.

        ``atlas``: the atlas's in the frame, (k, j, i): shown beyond the faces that cut the target's anatomy.
        """
        to_target = target.grid.lps_to_voxel @ np.linalg.inv(affine) @ self.grid.voxel_to_lps
        at = lattice(self.grid.shape, to_target, target.image.device)
        image = sample(target.image[None], at)[0]
        if atlas is None:
            return image
        reach = CONTINUED_MM / target.spacing
        for along, (cut_first, cut_last), count in zip(at, target.cut, target.grid.size_ijk):
            if cut_first:
                image = torch.where(along < -reach, atlas, image)
            if cut_last:
                image = torch.where(along > float(count - 1 + reach), atlas, image)
        return image

    def displacement(self, displacement: torch.Tensor, grid: Geometry, affine: np.ndarray) -> torch.Tensor:
        """A registration's displacement in the frame: y + d(y) is the atlas point of the aligned target's point y.

        ``displacement``: (3, k, j, i) in voxels of ``grid``, in the target's space; x + u(x), then ``affine``, is the
        atlas point. Returns (3, k, j, i) in the frame's voxels.
        """
        to_grid = grid.lps_to_voxel @ np.linalg.inv(affine) @ self.grid.voxel_to_lps
        moved = sample(displacement, lattice(self.grid.shape, to_grid, displacement.device), padding="zeros")
        linear = np.linalg.inv(to_grid)[:3, :3]
        return torch.tensordot(torch.tensor(linear, dtype=torch.float32, device=moved.device), moved, 1)

    def seen_from(self, affine: np.ndarray) -> Geometry:
        """The frame's voxels in the space of a target with this alignment."""
        return Geometry(np.linalg.inv(affine) @ self.grid.voxel_to_lps, self.grid.shape)


def make_frame(labels: list[Volume], spacing: float) -> Frame:
    """The frame around an atlas's structures: ``labels`` are its label maps.

    ``spacing`` in mm; wider where the frame would have more than `MOST_VOXELS`.
    """
    boxes = [(layer.geometry, bounding_box(layer.array)) for layer in labels]
    corners = np.concatenate([geometry.part(box).corners for geometry, box in boxes if box])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = max(MARGIN_MM, MARGIN * spacing)
    spacing = max(spacing, float(np.prod(high - low + 2 * margin) / MOST_VOXELS) ** (1 / 3))
    count = np.ceil(((high - low + 2 * margin) / spacing + 1) / MULTIPLE).astype(int) * MULTIPLE
    count = np.maximum(count, SMALLEST)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    origin = (low + high) / 2 - (count - 1) / 2 * spacing
    # On one of the atlas's voxels, so that an atlas of this spacing along these axes is not interpolated.
    grid = labels[0].geometry
    matrix[:3, 3] = grid.to_lps(np.round(grid.to_voxel(origin)))
    return Frame(Geometry(matrix, tuple(count[::-1])))


@dataclasses.dataclass(frozen=True, eq=False)
class FramedAtlas:
    """The atlas in its frame. ``image``: (k, j, i) float32, about 0..1. ``labels``: (k, j, i) int64: 0 the background,
    n the n-th of ``values``, the atlas's label values in ascending order."""

    image: torch.Tensor
    labels: torch.Tensor
    values: np.ndarray

    def to(self, device) -> "FramedAtlas":
        return FramedAtlas(self.image.to(device), self.labels.to(device), self.values)

    @property
    def count(self) -> int:
        """Of the structures, the background among them."""
        return len(self.values) + 1


def frame_atlas(frame: Frame, image: WorkImage, labels: Volume) -> FramedAtlas:
    """``image``: the atlas's. ``labels``: a label map on any grid in the atlas's space."""
    values = np.unique(labels.array)
    values = values[values != 0]
    found = numbered(nearest(labels.array, labels.geometry, frame.grid), values).to(image.image.device)
    return FramedAtlas(frame.image(image, np.eye(4)), found, values)


def numbered(labels: np.ndarray, values: np.ndarray) -> torch.Tensor:
    """Label values (k, j, i) as 0 for the background and 1, 2, .. for ``values``, ascending: int64."""
    place = np.searchsorted(values, labels)
    known = np.append(values, -1)  # a place beyond the last value is none of them
    return torch.from_numpy(np.where((known[place] == labels) & (place < len(values)), place + 1, 0))
