"""How far to trust the result, voxel by voxel and structure by structure."""

import numpy as np
import torch

from . import filters

WIDTH = 7  # voxels of the window in which the images are compared
NOISE = 0.04  # standard deviation (of intensities 0..1) below which a difference means nothing


def agreement(target: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
    """Share of the local variance of either image that the other explains, 0..1: (k, j, i).

    Variance up to the noise's counts as explained: plain tissue that meets plain tissue agrees. The larger of the
    two variances counts, so that an edge in one image alone is a disagreement whichever image has it.
    """
    count = filters.box_sum(torch.ones_like(target), WIDTH)
    mean_t, mean_w = filters.box_sum(target, WIDTH) / count, filters.box_sum(warped, WIDTH) / count
    variance_t = (filters.box_sum(target * target, WIDTH) / count - mean_t**2).clamp_min(0)
    variance_w = (filters.box_sum(warped * warped, WIDTH) / count - mean_w**2).clamp_min(0)
    covariance = filters.box_sum(target * warped, WIDTH) / count - mean_t * mean_w
    correlation = covariance**2 / (variance_t * variance_w).clamp_min(1e-12)
    variance = torch.maximum(variance_t, variance_w)
    return ((variance * correlation + NOISE**2) / (variance + NOISE**2)).clamp(0, 1)


def structures(labels: np.ndarray, confidence: np.ndarray, values, layer: int, voxel_ml: float) -> list[dict]:
    """Volume and mean confidence of each of the atlas's ``values`` in a label map (k, j, i).

    ``confidence``: (k, j, i) uint8 percent. A structure without a voxel has confidence None.
    """
    found, where = np.unique(labels, return_inverse=True)
    counts = np.bincount(where.ravel(), minlength=len(found))
    sums = np.bincount(where.ravel(), weights=confidence.ravel(), minlength=len(found))
    by_value = {int(v): (int(n), float(s)) for v, n, s in zip(found, counts, sums)}
    rows = []
    for value in values:
        count, total = by_value.get(int(value), (0, 0.0))
        rows.append(
            {
                "label": int(value),
                "layer": layer,
                "volume_ml": round(count * voxel_ml, 4),
                "confidence": round(total / count, 1) if count else None,
            }
        )
    return rows
