"""Labels carried to the target's own grid."""

import numpy as np
import torch

from . import filters
from .deformation import slabs
from .geometry import Geometry
from .image import Volume
from .labels import LabelMap, bounding_box
from .sampling import lattice, places, sample


class Transfer:
    """Carries label maps from the atlas to a target.

    ``displacement``: (3, k, j, i) in voxels of ``grid``, zero at its border; x + u(x), then ``affine`` (LPS mm), is
    the atlas point. ``layers``: label maps on any grid in the atlas's space.
    """

    def __init__(self, layers: list[Volume], affine: np.ndarray, displacement: torch.Tensor, grid: Geometry):
        self._displacement, self._affine, self._grid = displacement, affine, grid
        self._labelled, self._layers = [], []
        device = displacement.device
        for layer in layers:
            box = bounding_box(layer.array)
            if box:
                self._labelled.append(layer.geometry.part(box))
            else:
                box = (slice(0, 1),) * 3
            labelled = layer.geometry.part(box)
            matrix = labelled.lps_to_voxel @ affine @ grid.voxel_to_lps
            linear = torch.tensor(matrix[:3, :3], dtype=torch.float32, device=device)
            offset = torch.tensor(matrix[:3, 3], dtype=torch.float32, device=device).view(3, 1)
            values = torch.from_numpy(np.ascontiguousarray(layer.array[box], np.int32)).to(device)
            self._layers.append((LabelMap(values), linear, offset))

    @classmethod
    def registered(cls, layers: list[Volume], found) -> "Transfer":
        """``found``: a `Registered` pair, whose deformation carries the labels."""
        return cls(layers, found.affine, found.displacement, found.grid)

    def vote(self, voxels: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Label and share of the partial volumes at ``voxels`` (3, n), coordinates on the grid: (n,), (n,)."""
        labels, there = self._carried(voxels, layer)
        return labels.vote(there)

    def ballots(self, voxels: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The partial volumes themselves: labels and weights, (8, n) each."""
        labels, there = self._carried(voxels, layer)
        return labels.ballots(there)

    def _carried(self, voxels, layer):
        """The labelled part of a layer, and where in its voxels (3, n) the deformation brings ``voxels`` to."""
        moved = sample(self._displacement, voxels, padding="zeros").add_(voxels)
        values, linear, offset = self._layers[layer]
        return values, (linear @ moved).add_(offset)

    def reached(self, geometry: Geometry) -> tuple[slice, slice, slice]:
        """The box of ``geometry``, slices along k, j, i, outside of which no structure is carried to."""
        if not self._labelled:
            return (slice(0, 1),) * 3
        back = np.linalg.inv(self._affine)
        corners = np.concatenate([part.part([slice(-1, n + 1) for n in part.shape]).corners for part in self._labelled])
        reach_mm = self._grid.spacing[0] * float(filters.length(self._displacement).max())
        return geometry.box_around(corners @ back[:3, :3].T + back[:3, 3], reach_mm)

    def warped(self, geometry: Geometry, check) -> tuple[list[np.ndarray], np.ndarray]:
        """The layers' labels on ``geometry``, and the smallest of their shares as uint8 percent: (k, j, i)."""
        maps = [np.zeros(geometry.shape, np.int32) for _ in self._layers]
        certainty = np.full(geometry.shape, 100, np.uint8)
        box = self.reached(geometry)
        for slab, part in slabs(geometry.part(box)):
            check()
            voxels = self.voxels(part)
            share = torch.ones(voxels.shape[1], device=voxels.device)
            for layer, result in enumerate(maps):
                winner, part_share = self.vote(voxels, layer)
                result[box][slab] = winner.view(part.shape).cpu().numpy()
                share = torch.minimum(share, part_share)
            certainty[box][slab] = _percent(share).view(part.shape).cpu().numpy()
        return maps, certainty

    def around(self, voxels: torch.Tensor, offsets, layer: int, check) -> torch.Tensor:
        """The labels at each of the offsets (i, j, k) from ``voxels`` (3, n), coordinates on the grid: (offsets, n)."""
        held = torch.empty(len(offsets), voxels.shape[1], dtype=torch.int32, device=voxels.device)
        for row, offset in enumerate(offsets):
            check()
            there = voxels + torch.tensor(offset, dtype=torch.float32, device=voxels.device)[:, None]
            held[row] = self.vote(there, layer)[0]
        return held

    def located(self, index: np.ndarray, geometry: Geometry) -> torch.Tensor:
        """Where the voxels of ``geometry`` with these flat indices lie on the grid: (3, n)."""
        return torch.from_numpy(places(index, geometry, self._grid)).to(self._displacement)

    def voxels(self, geometry: Geometry) -> torch.Tensor:
        """Where the geometry's voxels lie on the grid: (3, n)."""
        return lattice(
            geometry.shape, self._grid.lps_to_voxel @ geometry.voxel_to_lps, self._displacement.device
        ).flatten(1)


def _percent(share: torch.Tensor) -> torch.Tensor:
    return (100 * share).round_().clamp_(0, 100).to(torch.uint8)
