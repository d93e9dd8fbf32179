"""The general model's mask: coarse, from the general encoder's features at a quarter of the resolution."""

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Upward, perceptron
from .candidates import Candidates
from .sizes import Sizes

STEP = 4  # voxels of the image along a voxel of the mask's embedding, as of SAM's masks


class CoarseDecoder(nn.Module):
    """General features, tokens and the candidates that the registration suggests -> the candidates of the coarse
    mask."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        c = sizes.channels
        self.up = nn.ModuleList(Upward(c[n + 1], c[n]) for n in (2, 1))
        self.embedding = nn.Conv3d(c[1], sizes.embedding, 1)
        self.weights = perceptron(sizes.token, sizes.token, sizes.embedding)
        nn.init.zeros_(self.weights[-1].bias)
        nn.init.zeros_(self.weights[-1].weight)  # it begins with the registration's own mask

    def forward(self, features: list[torch.Tensor], tokens: torch.Tensor, prior: Candidates) -> Candidates:
        x = features[-1]
        for up, finer in zip(self.up, features[-2:0:-1]):
            x = up(x, finer)
        embedding = F.interpolate(self.embedding(x), scale_factor=STEP, mode="trilinear", align_corners=False)[0]
        k, j, i = prior.certain.shape  # a last voxel may reach beyond
        return prior.judged(embedding[:, :k, :j, :i], self.weights(tokens))
