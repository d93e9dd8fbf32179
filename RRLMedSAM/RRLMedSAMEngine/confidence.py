"""How far to trust the result, voxel by voxel."""

import torch

from . import filters, workgrid

WIDTH = 7  # voxels of the window in which the images are compared
NOISE = 0.04  # standard deviation (of intensities 0..1) below which a difference means nothing
NEAR_MM = 12.0  # around structures: farther away it does not matter where images differ


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


def near(labels, grid, device) -> torch.Tensor:
    """1 where doubt may be shown, in the label maps' structures and up to `NEAR_MM` around, else 0: (k, j, i)."""
    return workgrid.near_structures(labels, grid, device, NEAR_MM)


def only_near(agreement: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """The agreement where it is `near` structures, and 1 elsewhere."""
    return torch.where(near > 0, agreement, 1.0)
