"""A third look at the labels near borders: whose voxels, in this very target, are as bright as this one?

The vote says which structures may be at a voxel. The target itself shows how bright each of them is thereabouts: a
histogram of its voxels, cell by cell, taken with the labels found so far. Votes and histograms are multiplied, and
neighbours prefer to agree, as in the segmentation of tissues by Van Leemput et al., IEEE TMI 1999; here the histograms
are local and of any shape. Structures of equal brightness are left to the vote. Measured: Dice +0.011 on brains, +0.003
on hippocampi.
"""

import numpy as np
from scipy import ndimage

CANDIDATES = 3  # of a voxel
CELL = 8  # voxels a side, of one local histogram
REACH = 2.0  # cells: sigma by which neighbouring histograms are smoothed into each other
BINS = 32
BIN_SIGMA = 1.2
BRIGHTEST = 1.25  # of windowed intensities
EVERYWHERE = 0.5  # voxels that the structure's whole histogram counts for in each cell
SURPRISE = 0.02  # share of voxels that may have any brightness
TRUST = 0.5  # exponent of the histograms' evidence: neighbouring voxels are not independent
AGREEMENT = 0.2  # for each of the six neighbours with the same label
LEAST_SHARE = 0.02  # of a vote: nobody rules out what others suggest
ROUNDS = 2
NEVER = -1e9


def decide(labels, where, candidates, shares, evidence) -> None:
    """Chooses among each voxel's ``candidates``; changes ``labels`` (k, j, i) in place.

    ``where``: (n,) flat indices. ``candidates``, ``shares``: (c, n), the vote's; 0 where there is none.
    ``evidence``: as `evidence` gives it.
    """
    scores = np.where(shares > 0, np.log(np.maximum(shares, LEAST_SHARE)) + TRUST * evidence, NEVER)
    for _ in range(ROUNDS):
        chosen = (scores + AGREEMENT * _alike_neighbours(labels, where, candidates)).argmax(axis=0)[None]
        labels.reshape(-1)[where] = np.take_along_axis(candidates, chosen, 0)[0]


def evidence(image, labels, voxels, candidates) -> np.ndarray:
    """Logarithm of how usual the brightness of each voxel is for each of its candidates thereabouts.

    ``image``: windowed intensities, about 0..1, and ``labels``: (k, j, i) on one grid. ``voxels``: (3, n), coordinates
    (i, j, k) on it. ``candidates``: (c, n). Returns (c, n).
    """
    values, counts = np.unique(candidates, return_counts=True)
    numbers = np.searchsorted(values, labels).clip(max=len(values) - 1)
    numbers = np.where(values[numbers] == labels, numbers + 1, 0)  # 0: no candidate of any voxel
    bins = _bins(image)
    brightness = _bins(ndimage.map_coordinates(image, voxels[::-1], order=1, mode="nearest"))
    at = voxels[::-1] / CELL + (0.5 / CELL - 0.5)  # cells, (k, j, i)
    result = np.full(candidates.shape, np.log(SURPRISE / BINS), np.float32)
    order = np.argsort(candidates, axis=None, kind="stable")
    ends = np.cumsum(counts)
    boxes = ndimage.find_objects(numbers, len(values))
    for number, (box, start, end) in enumerate(zip(boxes, [0, *ends], ends), start=1):
        if box is None:  # it won nowhere
            continue
        rank, column = np.divmod(order[start:end], candidates.shape[1])
        first, usual = _histograms(bins[box], numbers[box] == number, box)
        result[rank, column] = np.log(_looked_up(usual, at[:, column] - first[:, None], brightness[column]))
    return result


def _bins(intensities):
    return np.clip(intensities * (BINS / BRIGHTEST), 0, BINS - 1).astype(np.int64)


def _histograms(bins, inside, box):
    """The first cell (k, j, i), and the histograms of the cells from there on: (k, j, i, BINS)."""
    first = np.array([s.start // CELL for s in box])
    shape = [(s.stop - 1) // CELL - f + 1 for s, f in zip(box, first)]
    cells = [(p + s.start) // CELL - f for p, s, f in zip(np.nonzero(inside), box, first)]
    flat = np.ravel_multi_index((*cells, bins[inside]), (*shape, BINS))
    counts = np.bincount(flat, minlength=np.prod(shape) * BINS).reshape(*shape, BINS).astype(np.float32)
    whole = ndimage.gaussian_filter1d(counts.sum(axis=(0, 1, 2)), BIN_SIGMA)
    counts = ndimage.gaussian_filter(counts, (REACH, REACH, REACH, BIN_SIGMA), truncate=3)
    usual = (counts + EVERYWHERE * whole / whole.sum()) / (counts.sum(axis=-1, keepdims=True) + EVERYWHERE)
    return first, (1 - SURPRISE) * usual + SURPRISE / BINS


def _looked_up(histograms, at, bins):
    """Linear between the cells ``at`` (3, n), nearest beyond them: (n,)."""
    shape = histograms.shape[:3]
    base = np.floor(at).astype(np.int64)
    far = (at - base).astype(np.float32)
    total = np.zeros(at.shape[1], np.float32)
    for corner in np.ndindex(2, 2, 2):
        cell = [np.clip(b + c, 0, n - 1) for b, c, n in zip(base, corner, shape)]
        weight = np.prod([f if c else 1 - f for f, c in zip(far, corner)], axis=0)
        total += weight * histograms[(*cell, bins)]
    return total


def _alike_neighbours(labels, where, candidates):
    """How many of a voxel's six neighbours have each of its candidates' label: (c, n)."""
    flat = labels.reshape(-1)
    count = np.zeros(candidates.shape, np.float32)
    for axis, n in enumerate(labels.shape):
        stride = int(np.prod(labels.shape[axis + 1 :]))
        place = where // stride % n
        for at in (np.where(place < n - 1, where + stride, where), np.where(place > 0, where - stride, where)):
            count += candidates == flat[at]
    return count
