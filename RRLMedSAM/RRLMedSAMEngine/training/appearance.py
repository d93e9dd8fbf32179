"""Images as another scanner or another sequence might have made them."""

import math

import torch
import torch.nn.functional as F

from .. import filters

OTHER_CONTRAST = 0.2  # share of images that get a contrast of their own, inverted ones among them
KNOTS = 6  # of a contrast curve


def vary(image: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """(k, j, i), about 0..1, with another gamma or contrast, a bias field, blur and noise, each with some chance."""

    def uniform(low, high):
        return low + (high - low) * float(torch.rand((), generator=random))

    def normal(*shape):
        return torch.randn(shape, generator=random)

    if uniform(0, 1) < OTHER_CONTRAST:
        image = _curve(image, torch.rand(KNOTS, generator=random).to(image.device))
    elif uniform(0, 1) < 0.5:
        image = image.clamp_min(0) ** math.exp(0.25 * float(normal()))
    if uniform(0, 1) < 0.4:
        bias = F.interpolate(
            0.15 * normal(1, 1, 3, 3, 3).to(image.device), size=image.shape, mode="trilinear", align_corners=True
        )
        image = image * (1 + bias[0, 0])
    if uniform(0, 1) < 0.25:
        image = filters.gaussian(image, uniform(0.4, 0.9))
    return image + uniform(0, 0.06) * noise(image, random)


def noise(like: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Standard normal values, as many as ``like`` has, drawn on its device: a seed gives others on a graphics card."""
    seed = int(torch.randint(2**62, (), generator=random))
    own = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=own, device=like.device)


def _curve(image, values):
    """Intensities through a curve that takes 0, 1/(n-1), .. 1 to ``values`` (n,)."""
    at = image.clamp(0, 1) * (len(values) - 1)
    below = at.floor().long().clamp_max(len(values) - 2)
    return values[below] + (values[below + 1] - values[below]) * (at - below)
