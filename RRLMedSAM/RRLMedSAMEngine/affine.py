"""Affine alignment of target and atlas from many starts, without landmarks.

Gradient descent (Adam) on translation, rotation, log scale and shear over the weighted squared LNCC of
`similarity`, coarse to fine. A first result that agrees poorly is held against the 24 rotations of a cube, so that a
scan stored turned is found too. Reflections are never searched: a near-symmetric anatomy would hide a wrong one, and
the header says which side is which.
"""

import dataclasses
import itertools

import numpy as np
import torch

from . import filters
from .descent import Descent
from .sampling import lattice, sample
from .similarity import LocalCorrelation
from .workgrid import WorkImage

WIDTH = 5  # voxels of the correlation's window
FOCUS_SHARE = 0.6  # of the atlas's anatomy: structures that fill more of it need no alignment of their own
STEPS = (60, 50)  # on the coarse and on the fine grid
SCOUT_STEPS, FINALISTS = 25, 3  # for each start, before the best of them go on
HOPELESS, BETTER = 0.8, 1.1  # a turned start's correlation, relative to the header's, to go on with it and to prefer it
FOCUS_STEPS = 50
COARSE_VOXELS = 21  # along the anatomy's mean extent
# What one step moves: voxels, radians, logarithm of scale, shear.
STEP_SIZES = (1.0,) * 3 + (0.03,) * 3 + (0.02,) * 6


@dataclasses.dataclass
class Alignment:
    """``matrix``: (4, 4), LPS mm, target point -> atlas point. ``correlation``: 0..1, of the aligned images."""

    matrix: np.ndarray
    correlation: float


@dataclasses.dataclass
class Starts:
    """n affine maps T(x) = atlas_centre + shift + scale R exp(spin) exp(stretch) (x - target_centre), LPS mm.

    ``rotation`` (n, 3, 3), ``scale`` (n,), and ``parameters`` (n, 12): shift in mm, rotation vector, and the log
    scales and shears of the symmetric stretch; all float64 on the CPU.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    parameters: torch.Tensor

    @classmethod
    def of(cls, rotations, shifts, scale: float) -> "Starts":
        """Every rotation with every shift."""
        pairs = list(itertools.product(rotations, shifts))
        parameters = torch.zeros(len(pairs), 12, dtype=torch.float64)
        parameters[:, :3] = torch.tensor(np.array([shift for _, shift in pairs]))
        rotation = torch.tensor(np.array([rotation for rotation, _ in pairs]))
        return cls(rotation, torch.full((len(pairs),), scale, dtype=torch.float64), parameters)

    def __getitem__(self, index) -> "Starts":
        return Starts(self.rotation[index], self.scale[index], self.parameters[index])

    def linear(self, parameters: torch.Tensor) -> torch.Tensor:
        """(n, 3, 3), the linear part that ``parameters`` give; differentiable."""
        zero = torch.zeros_like(parameters[:, 0])
        rx, ry, rz, sx, sy, sz, a, b, c = parameters[:, 3:].unbind(dim=1)
        spin = torch.stack([zero, -rz, ry, rz, zero, -rx, -ry, rx, zero], dim=1).view(-1, 3, 3)
        stretch = torch.stack([sx, a, b, a, sy, c, b, c, sz], dim=1).view(-1, 3, 3)
        base = self.scale[:, None, None] * self.rotation
        return base @ torch.matrix_exp(spin) @ torch.matrix_exp(stretch)


class Aligner:
    """Target and atlas at one resolution, ready to follow starts downhill, all at once."""

    def __init__(self, target: WorkImage, atlas: WorkImage, spacing: float, centres):
        self.atlas_full = atlas.grid
        target, self.atlas = target.coarser(spacing), atlas.coarser(spacing)
        self.target = target.grid
        self.target_centre, self.atlas_centre = centres
        self.similarity = LocalCorrelation(target.image, WIDTH)
        self.anatomy = target.foreground.to(target.image.dtype)
        self.count = self.anatomy.sum().clamp_min(1)
        steps = [spacing * s for s in STEP_SIZES[:3]] + list(STEP_SIZES[3:])
        self.step_sizes = torch.tensor(steps, dtype=torch.float64)
        offset = np.eye(4)
        offset[:3, 3] = -self.target_centre
        self.from_centre = lattice(target.image.shape, offset @ target.grid.voxel_to_lps, target.image.device)
        self.by_lps = torch.from_numpy(target.grid.lps_to_voxel[:3, :3].T.copy())
        self.size = torch.tensor(self.atlas.grid.size_ijk.copy(), device=target.image.device).view(3, 1, 1, 1, 1)

    def focus(self, starts: Starts, near: torch.Tensor) -> None:
        """From now on only what ``near`` (k, j, i), a weight on the atlas's full grid, covers counts.

        It is placed on the target once, by the first start: a weight that moved along could shrink to agree.
        """
        at = np.linalg.inv(self.atlas_full.voxel_to_lps) @ self.matrix(starts, 0) @ self.target.voxel_to_lps
        weight = sample(near[None], lattice(self.target.shape, at, near.device), padding="zeros")[0]
        self.anatomy = self.anatomy * weight
        self.count = self.anatomy.sum().clamp_min(1)

    def matrix(self, starts: Starts, index: int) -> np.ndarray:
        """(4, 4), LPS mm, target point -> atlas point."""
        linear = starts.linear(starts.parameters)[index].numpy()
        result = np.eye(4)
        result[:3, :3] = linear
        result[:3, 3] = self.atlas_centre + starts.parameters[index, :3].numpy() - linear @ self.target_centre
        return result

    def correlation(self, starts: Starts) -> torch.Tensor:
        """(n,) mean squared correlation over the target's anatomy; what lies outside the atlas counts as 0."""
        moving, inside = self._warp(starts.linear(starts.parameters), starts.parameters[:, :3])
        agreement = self.similarity.map(moving).mul_(inside).mul_(self.anatomy)
        return (agreement.sum(dim=(1, 2, 3)) / self.count).cpu()

    def descend(self, starts: Starts, steps: int, check) -> Starts:
        """The best parameters that each start meets in ``steps`` steps of Adam."""
        steered = torch.zeros_like(starts.parameters)  # in units of one step
        descent = Descent(steered, steps)
        best = starts.parameters.clone()
        best_cost = torch.full((len(best),), np.inf, dtype=torch.float64)
        for _ in range(steps):
            check()
            parameters = (starts.parameters + steered * self.step_sizes).requires_grad_()
            linear = starts.linear(parameters)
            value, by_linear, by_shift = self._derivative(linear.detach(), parameters.detach()[:, :3])
            prior = 0.01 * (parameters[:, 6:] / 0.25).square().mean(dim=1)
            cost = prior.detach() - value
            better = cost < best_cost
            best[better], best_cost[better] = parameters.detach()[better], cost[better]
            # The images' part of the derivative is known: the surrogate has the same one.
            surrogate = prior.sum() - (by_linear * linear).sum() - (by_shift * parameters[:, :3]).sum()
            (slope,) = torch.autograd.grad(surrogate, parameters)
            descent.move(steered, slope * self.step_sizes)
        return Starts(starts.rotation, starts.scale, best)

    def _warp(self, linear, shift):
        """The atlas at the target's voxels (n, k, j, i), and whether those lie inside the atlas's grid."""
        to_voxel = torch.from_numpy(self.atlas.grid.lps_to_voxel)
        centre = torch.from_numpy(self.atlas_centre)
        linear = to_voxel[:3, :3] @ linear
        offset = (shift + centre) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        voxels = torch.tensordot(linear.to(self.from_centre), self.from_centre, 1).transpose(0, 1).contiguous()
        voxels += offset.T.to(voxels)[:, :, None, None, None]
        inside = ((voxels > -1) & (voxels < self.size)).all(dim=0)
        return sample(self.atlas.image[None], voxels)[0], inside

    def _derivative(self, linear, shift):
        """Mean correlations (n,) and their derivatives by the linear parts (n, 3, 3) and the shifts (n, 3), float64.

        The warped atlas J(x) = A(L x + o) gives dJ/dx = L^T grad A, hence grad A = L^-T dJ/dx.
        """
        moving, inside = self._warp(linear, shift)
        self.similarity.weight, self.similarity.total = inside * self.anatomy, self.count
        value, by_intensity = self.similarity.gradient(moving)
        direction = filters.gradient(moving).mul_(by_intensity).flatten(2)  # (3, n, voxels)
        by_position = torch.tensordot(direction, self.from_centre.flatten(1), ([2], [1])).transpose(0, 1)
        inverse = torch.linalg.inv(linear).transpose(1, 2) @ self.by_lps
        by_linear = inverse @ by_position.double().cpu()
        by_shift = inverse @ direction.sum(dim=2).T.double().cpu()[:, :, None]
        return value.double().cpu(), by_linear, by_shift[:, :, 0]


def align(target: WorkImage, atlas: WorkImage, near: torch.Tensor, check) -> Alignment:
    """The affine map from target to atlas with the best correlation. ``check()`` may raise to stop.

    ``near``: (k, j, i) on the atlas's grid, 1 in and near its labelled structures: the last steps look there alone,
    so that a small organ is aligned itself, not just what surrounds it.
    """
    coarse = max(float(np.mean(atlas.extent_mm)) / COARSE_VOXELS, target.spacing, atlas.spacing)
    fine = max(coarse / 2, target.spacing, atlas.spacing)
    fills = bool(target.cut.all() or atlas.cut.all())
    centres = (target.grid.centre, atlas.grid.centre) if fills else (_centre(target), _centre(atlas))
    scale = 1.0
    if not target.cut.any() and not atlas.cut.any():  # the size of a cut anatomy is not known from what is in view
        scale = float(np.clip(_radius(atlas) / _radius(target), 0.4, 2.5))
    aligner = Aligner(target, atlas, coarse, centres)
    upright = Starts.of([np.eye(3)], _shifts(target, atlas, centres, fills), scale)
    if len(upright.scale) > FINALISTS:
        upright = _best(aligner, aligner.descend(upright, SCOUT_STEPS, check), FINALISTS)
    upright = chosen = _best(aligner, aligner.descend(upright, STEPS[0], check), 2)
    scout = Aligner(target, atlas, 1.5 * coarse, centres)
    turned = Starts.of(_cube_rotations()[1:], [np.zeros(3)], scale)
    turned = _best(scout, scout.descend(turned, SCOUT_STEPS, check), FINALISTS)
    if scout.correlation(turned)[0] > HOPELESS * scout.correlation(upright)[0]:
        turned = _best(aligner, aligner.descend(turned, STEPS[0], check), 1)
        # The header is believed unless turning explains the images clearly better.
        if aligner.correlation(turned)[0] > BETTER * aligner.correlation(upright)[0]:
            chosen = turned
    finer = Aligner(target, atlas, fine, centres)
    chosen = finer.descend(_best(finer, chosen, 1), STEPS[1], check)
    correlation = float(finer.correlation(chosen)[0])
    if float((near * atlas.foreground).sum()) < FOCUS_SHARE * float(atlas.foreground.sum()):
        finer.focus(chosen, near)
        chosen = finer.descend(chosen, FOCUS_STEPS, check)
    return Alignment(finer.matrix(chosen, 0), correlation)


def _best(aligner: Aligner, starts: Starts, count: int) -> Starts:
    """The ``count`` starts with the best correlation, best first."""
    return starts[torch.argsort(aligner.correlation(starts), descending=True, stable=True)[:count]]


def _shifts(target, atlas, centres, fills) -> list[np.ndarray]:
    """Where to put the target's centre beside the atlas's, in mm, in the headers' orientation."""
    shifts = [np.zeros(3)]
    if fills:
        # A crop's centre says little about where its organ lies: look around it.
        reach = 0.15 * np.minimum(target.extent_mm, atlas.extent_mm).mean()
        shifts = [np.array(d) * reach for d in itertools.product((-1, 0, 1), repeat=3) if np.abs(d).sum() <= 1]
    header = centres[0] - centres[1]
    if target.grid.overlaps(atlas.grid) and np.linalg.norm(header) > 0.02 * np.mean(atlas.extent_mm):
        shifts.append(header)
    return shifts


def _centre(image: WorkImage) -> np.ndarray:
    """Centre of mass of the anatomy in LPS mm."""
    return image.grid.to_lps(_weighted(image)[0])


def _radius(image: WorkImage) -> float:
    """Root mean square distance from the centre of mass in mm."""
    mean, variance = _weighted(image)
    return float(np.sqrt(variance.sum()) * image.spacing)


def _weighted(image: WorkImage) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the anatomy's voxel coordinates (i, j, k)."""
    mass = image.foreground.to(torch.float64)
    mean, variance = np.zeros(3), np.zeros(3)
    for axis in range(3):
        profile = mass.sum(dim=[d for d in range(3) if d != 2 - axis]).cpu().numpy()
        at = np.arange(len(profile))
        mean[axis] = (profile * at).sum() / profile.sum()
        variance[axis] = (profile * (at - mean[axis]) ** 2).sum() / profile.sum()
    return mean, variance


def _cube_rotations() -> list[np.ndarray]:
    """The 24 rotations that map the axes onto each other, the identity first."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return found
