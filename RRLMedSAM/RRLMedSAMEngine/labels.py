"""Atlas labels carried to a target by a vote of partial volumes."""

import numpy as np
import torch

CHUNK = 1 << 20  # target voxels voted on at once: the memory needed does not grow with the number of labels


def bounding_box(labels: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The box around what is labelled in a map (k, j, i); None where nothing is."""
    box = ()
    for axis in range(3):  # what the axes before leave is all that is looked at
        there = np.flatnonzero(labels[box].any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(there):
            return None
        box += (slice(int(there[0]), int(there[-1]) + 1),)
    return box


def vote(labels: torch.Tensor, voxels) -> tuple[torch.Tensor, torch.Tensor]:
    """The label with the largest share of the trilinear weights at each point, and that share.

    ``labels``: (k, j, i), integers. ``voxels``: (3, n), coordinates (i, j, k) in the label map's voxels; outside is
    label 0. Returns (n,) labels and (n,) shares in 0..1. This is the argmax of linearly interpolated one-hot maps,
    without making them.
    """
    winner = torch.empty(voxels.shape[1], dtype=labels.dtype, device=labels.device)
    share = torch.empty(voxels.shape[1], dtype=torch.float32, device=labels.device)
    for first in range(0, voxels.shape[1], CHUNK):
        part = slice(first, first + CHUNK)
        winner[part], share[part] = _vote(labels, voxels[:, part])
    return winner, share


def ballots(labels: torch.Tensor, voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The votes themselves: labels of the eight voxels around each point, and their trilinear weights: (8, n) each."""
    base = voxels.floor()
    far = voxels - base
    near = 1 - far
    base = base.long()
    candidates, weights = [], []
    for corner in range(8):
        offsets = [(corner >> axis) & 1 for axis in range(3)]
        index, inside = 0, None
        weight = None
        for axis, stride in enumerate((1, labels.shape[2], labels.shape[2] * labels.shape[1])):
            at = base[axis] + offsets[axis]
            size = labels.shape[2 - axis]
            valid = (at >= 0) & (at < size)
            index = index + at.clamp(0, size - 1) * stride
            inside = valid if inside is None else inside & valid
            part = far[axis] if offsets[axis] else near[axis]
            weight = part if weight is None else weight * part
        candidates.append(labels.reshape(-1)[index] * inside)
        weights.append(weight)
    return torch.stack(candidates), torch.stack(weights)


def _vote(labels, voxels):
    candidates, weights = ballots(labels, voxels)
    # Where all eight agree, as in most voxels, nothing is left to count.
    winner, share = candidates[0].clone(), torch.ones_like(weights[0])
    mixed = (candidates != candidates[:1]).any(dim=0).nonzero()[:, 0]
    candidates, weights = candidates[:, mixed], weights[:, mixed]
    best, best_share = candidates[0].clone(), torch.full_like(weights[0], -1)
    for candidate in candidates:
        total = (weights * (candidates == candidate)).sum(dim=0)
        better = total > best_share + 1e-6
        best = torch.where(better, candidate, best)
        best_share = torch.where(better, total, best_share)
    winner[mixed], share[mixed] = best, best_share
    return winner, share
