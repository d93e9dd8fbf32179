"""How well two images agree locally, with exact gradients.

Squared local normalised cross-correlation (LNCC; Avants et al., Medical Image Analysis 2008, here as the square of
the correlation in each window, so that an inverted contrast agrees as well as an equal one) of the intensities, plus
that of the gradient magnitudes.
"""

import torch

from . import filters


class LocalCorrelation:
    """Mean squared correlation between a fixed image and any other in windows around each voxel.

    ``fixed``: (k, j, i); the others (..., k, j, i). ``weight``: how much each window counts, None for all alike.
    """

    def __init__(self, fixed: torch.Tensor, width: int, weight: torch.Tensor | None = None, noise: float = 1e-4):
        self.fixed, self.width, self.noise = fixed, width, noise
        self.inverse_count = 1 / filters.box_sum(torch.ones_like(fixed), width)
        self.mean = filters.box_sum(fixed, width) * self.inverse_count
        self.variance = (filters.box_sum(fixed * fixed, width) * self.inverse_count - self.mean**2).clamp_min_(0)
        self.weight = torch.ones_like(fixed) if weight is None else weight
        self.total = self.weight.sum().clamp_min(1)

    def _moments(self, moving):
        mean = filters.box_sum(moving, self.width).mul_(self.inverse_count)
        variance = filters.box_sum(moving * moving, self.width).mul_(self.inverse_count)
        variance.sub_(mean * mean).clamp_min_(0)
        covariance = filters.box_sum(self.fixed * moving, self.width).mul_(self.inverse_count)
        covariance.sub_(self.mean * mean)
        denominator = (self.variance * variance).add_(self.noise**2)
        return mean, covariance, denominator

    def map(self, moving: torch.Tensor) -> torch.Tensor:
        """Squared correlation in the window around each voxel, 0..1."""
        _, covariance, denominator = self._moments(moving)
        return covariance.square_().div_(denominator)

    def gradient(self, moving: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted mean, one for each leading index, and its derivative by each voxel of ``moving``.

        With cc = A^2 / (B C + e^2), A covariance, B and C variances: dA/dJ(y) = (I(y) - mean I) / n and
        dC/dJ(y) = 2 (J(y) - mean J) / n in every window that holds y, so that the sum over windows is box sums.
        """
        mean, covariance, denominator = self._moments(moving)
        by_covariance = covariance / denominator
        correlation = covariance * by_covariance
        value = (correlation * self.weight).sum(dim=(-3, -2, -1)) / self.total
        by_covariance.mul_(self.weight).mul_(self.inverse_count)
        by_variance = correlation.mul_(self.variance).div_(denominator).mul_(self.weight).mul_(self.inverse_count)
        box, width = filters.box_sum, self.width
        result = box(by_covariance, width).mul_(self.fixed)
        result.sub_(box(by_variance, width).mul_(moving))
        result.add_(box(by_variance.mul_(mean).sub_(by_covariance.mul_(self.mean)), width))
        return value, result.mul_(2 / self.total)
