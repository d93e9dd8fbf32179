"""A second, local look at the labels near borders: which atlas patch nearby does the target's patch resemble most?

Registration is smooth and cannot follow every sulcus. Around each voxel near a border between structures, the warped
atlas's patches a voxel or two away vote for their labels, weighted by their resemblance (patch-based segmentation:
Coupé et al., NeuroImage 2011, here with one atlas that is registered already). Measured: Dice +0.006 on brains,
+0.010 on hippocampi. No anatomy is assumed, and identical images keep their labels.
"""

import itertools

import numpy as np
import torch

from . import filters
from .sampling import sample

PATCH = 3  # voxels a side
NORMALISATION_SIGMA = 4.0  # voxels in which brightness and contrast are evened out before patches are compared
FLAT = 0.02  # standard deviation (of intensities 0..1) that counts as no contrast
LEAST_DISTANCE = 0.05  # mean squared difference of normalised patches that means nothing
NEARNESS_SIGMA = 1.5  # voxels: how far away a patch may well lie
ELEMENTS = 1 << 24  # votes held at once
WIDE_SEARCH_VOTES = 5e7  # a search two voxels wide is affordable up to so many votes


class PatchVote:
    """Votes for one target image and the atlas image warped onto its grid.

    ``target``, ``warped``: (k, j, i), about 0..1. ``radius``: voxels searched around each.
    """

    def __init__(self, target: torch.Tensor, warped: torch.Tensor, radius: int):
        self._target, self._warped = _evened(target), _evened(warped)
        self.offsets = list(itertools.product(range(-radius, radius + 1), repeat=3))  # (i, j, k)

    def distances(self, voxels: torch.Tensor, check) -> torch.Tensor:
        """How little each offset's patch resembles the target's at ``voxels`` (3, n), coordinates on the images' grid:
        (offsets, n)."""
        distances = torch.empty(len(self.offsets), voxels.shape[1], device=voxels.device)
        for row, offset in enumerate(self.offsets):
            check()
            difference = _shifted(self._warped, offset).sub_(self._target).square_()
            difference = filters.box_sum(difference, PATCH) / PATCH**3
            distances[row] = sample(difference[None], voxels)[0]
        return distances


def weights(distances: torch.Tensor, offsets, speaks: torch.Tensor) -> torch.Tensor:
    """The weight of each of the ``offsets``, voxels (i, j, k), from its ``distances``: (offsets, n) both.

    The largest of those that ``speaks``, bool (offsets, n), is 1 in each column; the others' are 0.
    """
    nearness = torch.tensor([-sum(o * o for o in offset) / (2 * NEARNESS_SIGMA**2) for offset in offsets])
    scale = distances.min(dim=0).values + LEAST_DISTANCE
    held = (distances / -scale).add_(nearness.to(distances.device)[:, None]).masked_fill_(~speaks, -torch.inf)
    # Less the largest: where one that does not speak resembles by far the most, all others would vanish.
    return held.sub_(held.max(dim=0).values).exp_()


def search_radius(border_voxels: int) -> int:
    return 2 if border_voxels * 5**3 <= WIDE_SEARCH_VOTES else 1


def plurality(labels: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The label with the largest sum of weights in each column, and its share: labels, weights (votes, n) -> (n,)."""
    remaining = weights.clone()
    total = weights.sum(dim=0)
    best, best_weight = labels[0].clone(), torch.zeros_like(total)
    left = total.clone()
    # Once no label still uncounted can win, the rest need no counting: two or three rounds as a rule.
    while bool((left > best_weight).any()):
        largest = remaining.max(dim=0, keepdim=True).indices  # argmax gives the same, but is slower on a CPU
        candidate = labels.gather(0, largest)[0]
        same = labels == candidate
        weight = (remaining * same).sum(dim=0)
        better = weight > best_weight
        best = torch.where(better, candidate, best)
        best_weight = torch.where(better, weight, best_weight)
        remaining.masked_fill_(same, 0)
        left = remaining.sum(dim=0)
    return best, best_weight / total


def ranking(labels: torch.Tensor, weights: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``count`` labels with the largest sums of weights in each column, and their shares, the largest first:
    labels, weights (votes, n) -> (count, n) each. A share is 0 where there are fewer labels.
    """
    total, left = weights.sum(dim=0), weights.clone()
    ranked, shares = [], []
    for _ in range(count):
        winner, _ = plurality(labels, left)
        own = labels == winner
        ranked.append(winner)
        shares.append((left * own).sum(dim=0) / total)
        left.masked_fill_(own, 0)
    return torch.stack(ranked), torch.stack(shares)


def near_borders(labels: np.ndarray, reach) -> np.ndarray:
    """Voxels with another label within ``reach`` (voxels along i, j, k) along the axes: bool (k, j, i)."""
    near = np.zeros(labels.shape, bool)
    for axis in range(3):
        step = np.moveaxis(labels, axis, 0)
        differs = step[1:] != step[:-1]
        view = np.moveaxis(near, axis, 0)
        view[1:] |= differs
        view[:-1] |= differs
    for axis, count in zip((2, 1, 0), reach):
        view = np.moveaxis(near, axis, 0)
        for _ in range(int(count) - 1):
            grown = view.copy()
            grown[1:] |= view[:-1]
            grown[:-1] |= view[1:]
            view[...] = grown
    return near


def _evened(image):
    mean = filters.gaussian(image, NORMALISATION_SIGMA)
    deviation = (filters.gaussian(image * image, NORMALISATION_SIGMA) - mean * mean).clamp_min_(0).sqrt_()
    return (image - mean).div_(deviation.add_(FLAT))


def _shifted(image, offset):
    """(k, j, i) with the value at (i, j, k) + ``offset`` in each voxel; the border is continued."""
    for axis, by in zip((2, 1, 0), offset):
        if by:
            n = image.shape[axis]
            index = torch.arange(n, device=image.device).add_(by).clamp_(0, n - 1)
            image = image.index_select(axis, index)
    return image.clone() if not any(offset) else image
