"""What all networks are built of."""

import torch
from torch import nn

SLOPE = 0.01
SLOW = 20_480  # values of an image's first slice along i, up to which torch takes the slow path


class Kernel3(nn.Conv3d):
    """A 3 x 3 x 3 convolution without bias, as fast on small grids as on large ones.

    For one image on a small grid, and without a stride, torch takes a path on the CPU that is three times slower than
    the one for two images. Slices as a batch, with their neighbours as further channels, give the same sums on that.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        is_slow = x.device.type == "cpu" and len(x) == 1 and self.stride[0] == 1 and x[0, ..., 0].numel() <= SLOW
        if not is_slow:
            return super().forward(x)
        slices = nn.functional.pad(x[0].transpose(0, 1), (0, 0, 0, 0, 0, 0, 1, 1))
        near = torch.cat([slices[:-2], slices[1:-1], slices[2:]], dim=1)
        weight = self.weight.permute(0, 2, 1, 3, 4).flatten(1, 2)
        return nn.functional.conv2d(near, weight, padding=1).transpose(0, 1)[None]


class Convolution(nn.Sequential):
    """3 x 3 x 3 convolution, instance norm (as a group norm: faster on a CPU), leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(
            Kernel3(inputs, outputs, stride),
            nn.GroupNorm(outputs, outputs),
            nn.LeakyReLU(SLOPE, inplace=True),
        )


class Upward(nn.Module):
    """Features of one level brought to the next finer one's grid and added to its own: `coarse` -> `fine` channels."""

    def __init__(self, coarse: int, fine: int):
        super().__init__()
        self.narrow = nn.Conv3d(coarse, fine, 1)
        self.smooth = Convolution(fine, fine)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        grown = nn.functional.interpolate(self.narrow(coarse), size=fine.shape[2:], mode="nearest")
        return self.smooth(grown + fine)


def space_to_depth(x: torch.Tensor) -> torch.Tensor:
    """(b, c, 2k, 2j, 2i) -> (b, 8c, k, j, i): half the grid without losing a value."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c, k // 2, 2, j // 2, 2, i // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, k // 2, j // 2, i // 2)


def depth_to_space(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `space_to_depth`."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, k, j, i)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * k, 2 * j, 2 * i)


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
