"""Atlas labels carried to a target by a vote of partial volumes."""

import numpy as np
import torch
import torch.nn.functional as F

CHUNK = 1 << 20  # target voxels voted on at once: the memory needed does not grow with the number of labels
AIR = 2  # voxels of background around a map: the outermost cells lie in it altogether, and stand for all outside


def bounding_box(labels: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The box around what is labelled in a map (k, j, i); None where nothing is."""
    box = ()
    for axis in range(3):  # what the axes before leave is all that is looked at
        there = np.flatnonzero(labels[box].any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(there):
            return None
        box += (slice(int(there[0]), int(there[-1]) + 1),)
    return box


class LabelMap:
    """Labels that vote on any point: the argmax of linearly interpolated one-hot maps, without making them.

    A cell lies between eight voxels. In most of them all eight are alike: which these are is found once, and points in
    them need no counting.
    """

    def __init__(self, labels: torch.Tensor):
        """``labels``: (k, j, i), integers; outside is label 0."""
        padded = F.pad(labels, [AIR] * 6)
        self._cells = [n - 1 for n in padded.shape[::-1]]  # along i, j, k
        self._strides = [1, padded.shape[2], padded.shape[1] * padded.shape[2]]
        self._labels = padded.flatten()
        self._mixed = _mixed(padded).flatten()

    def vote(self, voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The label with the largest share of the trilinear weights at each of the points, and that share.

        ``voxels``: (3, n), coordinates (i, j, k) in the map's voxels. Returns (n,) labels and (n,) shares in 0..1.
        """
        winner = torch.empty(voxels.shape[1], dtype=self._labels.dtype, device=voxels.device)
        share = torch.ones(voxels.shape[1], dtype=torch.float32, device=voxels.device)
        for first in range(0, voxels.shape[1], CHUNK):
            part = voxels[:, first : first + CHUNK]
            cell, _ = self._located(part)
            winner[first : first + CHUNK] = self._labels[cell]
            mixed = self._mixed[cell].nonzero()[:, 0]
            winner[first + mixed], share[first + mixed] = _counted(*self.ballots(part[:, mixed]))
        return winner, share

    def ballots(self, voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The votes themselves: labels of the eight voxels around each point, and their trilinear weights: (8, n)."""
        cell, base = self._located(voxels)
        far = voxels - base
        near = 1 - far
        candidates, weights = [], []
        for corner in range(8):
            ahead = [(corner >> axis) & 1 for axis in range(3)]
            i, j, k = (far[axis] if ahead[axis] else near[axis] for axis in range(3))
            candidates.append(self._labels[cell + sum(a * s for a, s in zip(ahead, self._strides))])
            weights.append(i * j * k)
        return torch.stack(candidates), torch.stack(weights)

    def _located(self, voxels):
        """The first voxel of each point's cell: its flat index (n,), for points outside that of an outermost cell, and
        its coordinates (3, n), which may lie outside."""
        base = voxels.floor()
        at = [(b.long() + AIR).clamp_(0, n - 1) for b, n in zip(base, self._cells)]
        return sum(a.mul_(s) for a, s in zip(at, self._strides)), base


def _mixed(padded):
    """Whether the cell that begins at a voxel holds more than one label: (k, j, i) bool. At the last voxels, where none
    begins, it means nothing."""
    mixed = torch.zeros(padded.shape, dtype=torch.bool, device=padded.device)
    for axis in range(3):  # edges first, then faces, then cells: mixed where one of their two ends is, or both differ
        n = padded.shape[axis] - 1
        held = mixed.narrow(axis, 0, n)
        held |= mixed.narrow(axis, 1, n).clone()
        held |= padded.narrow(axis, 0, n) != padded.narrow(axis, 1, n)
    return mixed


def _counted(candidates, weights):
    """The label with the most weight in each column (8, n), and that weight."""
    best, best_share = candidates[0].clone(), torch.full_like(weights[0], -1)
    for candidate in candidates:
        total = (weights * (candidates == candidate)).sum(dim=0)
        better = total > best_share + 1e-6
        best = torch.where(better, candidate, best)
        best_share = torch.where(better, total, best_share)
    return best, best_share
