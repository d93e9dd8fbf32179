"""The deformation between target and atlas, its inverse, and whether it folds."""

import dataclasses
import itertools

import numpy as np
import torch
import torch.nn.functional as F

from . import filters
from .geometry import Geometry
from .sampling import lattice, sample

INVERSE_STEPS, INVERSE_TOLERANCE = 40, 0.01  # at most, and voxels
BALANCING_STEPS = 4
SMALLEST_JACOBIAN = 0.02  # below it a voxel is smoothed, so that nothing resampled from the field folds
UNFOLDING_ROUNDS = 200
SLAB = 24  # slices looked at together
FINENESS = 1024  # a field has about so many steps to a voxel: what lies below would make its file half as large again


@dataclasses.dataclass(frozen=True, eq=False)
class Deformation:
    """T(x) = affine(x + forward(x)) maps target points to atlas points, LPS mm; T^-1(y) = p + inverse(p) back.

    ``affine``: (4, 4); p = affine^-1(y). ``forward``, ``inverse``: (k, j, i, 3) float32, LPS mm, on ``grid``, zero at
    its border and outside, rounded to about a thousandth of a voxel.
    """

    affine: np.ndarray
    forward: np.ndarray
    inverse: np.ndarray
    grid: Geometry

    def total_forward(self, geometry: Geometry) -> np.ndarray:
        """T(x) - x in LPS mm at the voxels of any geometry: (k, j, i, 3) float32."""
        return self._slabs(geometry, np.eye(4), self.forward, self.affine)

    def total_inverse(self, geometry: Geometry) -> np.ndarray:
        """T^-1(y) - y in LPS mm at the voxels of any geometry: (k, j, i, 3) float32."""
        return self._slabs(geometry, np.linalg.inv(self.affine), self.inverse, np.eye(4))

    def _slabs(self, geometry, before, field, after):
        """after(before(x) + field(before(x))) - x, slab by slab, so that large volumes need little memory."""
        result = np.empty((*geometry.shape, 3), np.float32)
        field = torch.from_numpy(np.ascontiguousarray(np.moveaxis(field, -1, 0)))
        linear = torch.tensor(after[:3, :3], dtype=torch.float32)
        for slab, part in slabs(geometry):
            voxels = lattice(part.shape, self.grid.lps_to_voxel @ before @ part.voxel_to_lps)
            moved = torch.tensordot(linear, sample(field, voxels, padding="zeros"), 1)
            # The affine displacement is formed in float64: (after before - 1) x.
            moved += lattice(part.shape, (after @ before - np.eye(4)) @ part.voxel_to_lps)
            result[slab] = _rounded(moved, self.grid).permute(1, 2, 3, 0).numpy()
        return result


def slabs(geometry: Geometry, voxels: int = 1 << 20):
    """The grid in slabs along k of about ``voxels`` voxels: (slice of k, geometry of the slab)."""
    depth = max(1, voxels // (geometry.shape[1] * geometry.shape[2]))
    for first in range(0, geometry.shape[0], depth):
        slab = slice(first, min(first + depth, geometry.shape[0]))
        yield slab, geometry.part((slab, *(slice(0, n) for n in geometry.shape[1:])))


def pad_to_zero(displacement: torch.Tensor, grid: Geometry) -> tuple[torch.Tensor, Geometry]:
    """The displacement (3, k, j, i) in voxels, continued outside and faded to zero at the new border.

    The fade is wide enough that it folds nothing: the slope it adds stays below one half.
    """
    faces = [displacement.select(axis, face).abs().max() for axis in (1, 2, 3) for face in (0, -1)]
    width = int(np.ceil(2 * float(max(faces)))) + 3
    padded = F.pad(displacement[None], [width] * 6, mode="replicate")[0]
    for axis in (1, 2, 3):
        n = padded.shape[axis]
        at = torch.arange(n, dtype=padded.dtype, device=padded.device)
        fade = (torch.minimum(at, n - 1 - at) / width).clamp_max(1)
        padded *= fade.view([-1 if d == axis else 1 for d in range(4)])
    return padded, grid.part([slice(-width, n + width) for n in grid.shape])


def invert(displacement: torch.Tensor, inside: torch.Tensor, check) -> torch.Tensor:
    """v with v(x) + u(x + v(x)) = 0, by fixed point iteration (Chen et al., Medical Physics 2008).

    Both (3, k, j, i) in voxels of one grid, zero at its border. ``inside``: bool (k, j, i), where both ways round
    shall be equally good. ``check()`` is called in each step.
    """
    shape = displacement.shape
    forward, identity = displacement.flatten(1), lattice(shape[1:], np.eye(4), displacement.device).flatten(1)
    inverse = -forward
    pending = torch.arange(forward.shape[1], device=forward.device)
    for step in range(INVERSE_STEPS):
        check()
        guess = inverse[:, pending]
        miss = sample(displacement, identity[:, pending] + guess).add_(guess)
        # Where u is steep (its slope near 1) full steps swing around the solution.
        inverse[:, pending] = guess - miss * (1.0 if step < INVERSE_STEPS // 2 else 0.5)
        pending = pending[filters.length(miss) > INVERSE_TOLERANCE]
        if not len(pending):
            break
    # The inverse is now exact at its voxels and off between them, where T lands: 0.16 mm on average. Sharing the
    # miss between both ways round leaves less than 0.1 mm in each.
    at = inside.flatten().nonzero()[:, 0]
    there_and_back = torch.zeros_like(forward)
    for _ in range(BALANCING_STEPS):
        check()
        returned = sample(inverse.view(shape), identity[:, at] + forward[:, at])
        there_and_back[:, at] = returned.add_(forward[:, at])
        guess = inverse[:, at]
        back_and_there = sample(displacement, identity[:, at] + guess).add_(guess)
        shared = sample(there_and_back.view(shape), identity[:, at] + guess)
        inverse[:, at] = guess - 0.5 * shared - 0.25 * back_and_there
    return inverse.view(shape)


def jacobian(displacement: torch.Tensor) -> torch.Tensor:
    """Determinant of the Jacobian of x + u(x) by central differences, one-sided at the faces: (k, j, i)."""
    rows = []
    for row, component in enumerate(displacement):
        slopes = []
        for column, axis in enumerate((2, 1, 0)):
            slope = filters.gradient(component)[column]
            n = component.shape[axis]
            for face, inner in ((0, 1), (n - 1, n - 2)):
                ahead, behind = (inner, face) if face == 0 else (face, inner)
                difference = component.select(axis, ahead) - component.select(axis, behind)
                slope.select(axis, face).copy_(difference)
            slopes.append(slope + 1 if row == column else slope)
        rows.append(slopes)
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def smallest_corner_jacobian(displacement: torch.Tensor) -> torch.Tensor:
    """The smallest determinant over the eight one-sided differences at each voxel: (k, j, i).

    Trilinear interpolation folds inside a cell only where one of its corners does, so this is the strict test.
    """
    sides = []  # for each of i, j, k: the slopes (behind, ahead), 1 added on the diagonal; faces have one side only
    for column, axis in enumerate((3, 2, 1)):
        n = displacement.shape[axis]
        slope = displacement.narrow(axis, 1, n - 1) - displacement.narrow(axis, 0, n - 1)
        slope[column] += 1
        first, last = slope.narrow(axis, 0, 1), slope.narrow(axis, n - 2, 1)
        sides.append((torch.cat([first, slope], axis), torch.cat([slope, last], axis)))
    smallest = None
    for first, second, third in itertools.product(*sides):
        (a, d, g), (b, e, h), (c, f, i) = first, second, third
        determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        smallest = determinant if smallest is None else torch.minimum(smallest, determinant)
    return smallest


def _nearly_folded(displacement):
    """Where the smallest corner Jacobian is too small: bool (k, j, i); by slabs, for its many temporary arrays."""
    count = displacement.shape[1]
    folded = torch.empty(displacement.shape[1:], dtype=torch.bool, device=displacement.device)
    for first in range(0, count, SLAB):
        start, stop = max(first - 1, 0), min(first + SLAB + 1, count)
        smallest = smallest_corner_jacobian(displacement[:, start:stop])
        folded[first : first + SLAB] = smallest[first - start : first - start + SLAB] < SMALLEST_JACOBIAN
    return folded


def unfold(displacement: torch.Tensor, check) -> torch.Tensor:
    """The displacement, smoothed just where it folds or nearly does, until it does nowhere; (3, k, j, i)."""
    for _ in range(UNFOLDING_ROUNDS):
        check()
        folded = _nearly_folded(displacement)
        if not bool(folded.any()):
            break
        near = (filters.box_sum(folded.to(displacement.dtype), 5) > 0).to(displacement.dtype)
        blend = filters.gaussian(near, 1.0)
        displacement = displacement + blend * (filters.gaussian(displacement, 1.0) - displacement)
    return displacement


def consistency(forward: torch.Tensor, inverse: torch.Tensor, inside: torch.Tensor, spacing: float) -> dict:
    """How far T^-1(T(x)) ends from x: mean and 95th percentile in mm over ``inside`` (k, j, i).

    Both fields (3, k, j, i) in voxels of one isotropic grid of ``spacing`` mm.
    """
    identity = lattice(forward.shape[1:], np.eye(4), forward.device)
    miss = filters.length(sample(inverse, identity + forward).add_(forward))[inside] * spacing
    if miss.numel() == 0:
        return {"mean": 0.0, "p95": 0.0}
    rank = max(1, int(round(0.95 * miss.numel())))
    return {"mean": float(miss.mean()), "p95": float(miss.kthvalue(rank).values)}


def to_lps_field(displacement: torch.Tensor, grid: Geometry) -> np.ndarray:
    """(3, k, j, i) in voxels -> (k, j, i, 3) float32 in LPS mm."""
    linear = torch.tensor(grid.voxel_to_lps[:3, :3], dtype=torch.float32, device=displacement.device)
    field = _rounded(torch.tensordot(linear, displacement, 1), grid)
    return field.permute(1, 2, 3, 0).contiguous().cpu().numpy()


def _rounded(field: torch.Tensor, grid: Geometry) -> torch.Tensor:
    """The field itself, in mm, to a power of two: the last bits of each value are 0 then, and are compressed away."""
    step = 2.0 ** np.floor(np.log2(grid.spacing.min() / FINENESS))
    return field.div_(step).round_().mul_(step)
