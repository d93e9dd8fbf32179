"""The auto-prompting decoder: the mask on the medical encoder's features, prompted by the general model's.

The general model's mask is a prompt, as a mask prompt is SAM's: embedded and added to the image features, then tokens
and features attend to each other both ways (SAM's two-way transformer, Kirillov et al., ICCV 2023). Here a voxel's
embedded mask is the mean of its candidates' tokens, so that any number of structures fits.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Convolution, Upward, depth_to_space, perceptron
from .candidates import Candidates
from .sizes import Sizes

FULL = 8  # channels at full resolution beside the image


class TwoWayAttention(nn.Module):
    """Tokens (structures, token) and the coarsest features (1, c, k, j, i) inform each other."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width, features = sizes.token, sizes.channels[-1]
        self.inward, self.outward = nn.Linear(features, width), nn.Linear(width, features)
        self.among = nn.MultiheadAttention(width, sizes.heads, batch_first=True)
        self.to_image = nn.MultiheadAttention(width, sizes.heads, batch_first=True)
        self.to_tokens = nn.MultiheadAttention(width, sizes.heads, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.perceptron = perceptron(width, 2 * width, width)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def forward(self, tokens: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.inward(features.flatten(2).transpose(1, 2))
        tokens = tokens[None]
        tokens = self.norms[0](tokens + self.among(tokens, tokens, tokens, need_weights=False)[0])
        tokens = self.norms[1](tokens + self.to_image(tokens, image, image, need_weights=False)[0])
        tokens = self.norms[2](tokens + self.perceptron(tokens))
        image = self.norms[3](image + self.to_tokens(image, tokens, tokens, need_weights=False)[0])
        change = self.outward(image).transpose(1, 2).reshape(features.shape)
        return tokens[0], features + change


class AutoPromptDecoder(nn.Module):
    """Medical features, tokens, image, the candidates that the registration suggests and the coarse mask -> the
    candidates of the refined mask."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        c = sizes.channels
        self.prompted = sizes.prompted
        self.prompt = nn.Linear(sizes.token, sizes.embedding)
        self.prompts = nn.ModuleList(nn.Conv3d(sizes.embedding, width, 1) for width in c)
        self.attention = TwoWayAttention(sizes)
        self.up = nn.ModuleList(Upward(c[n + 1], c[n]) for n in (2, 1, 0))
        self.full = nn.Conv3d(c[0], 8 * FULL, 1)
        self.last = nn.Sequential(
            Convolution(FULL + 1, sizes.embedding), nn.Conv3d(sizes.embedding, sizes.embedding, 1)
        )
        self.weights = perceptron(sizes.token, sizes.token, sizes.embedding)
        nn.init.zeros_(self.weights[-1].weight)  # it begins with the registration's own mask
        nn.init.zeros_(self.weights[-1].bias)

    def forward(
        self, features, tokens: torch.Tensor, image: torch.Tensor, prior: Candidates, coarse: Candidates
    ) -> Candidates:
        features = list(features)
        if self.prompted:
            prompt = coarse.described(self.prompt(tokens))[None]
            for level, embed in enumerate(self.prompts):
                prompt = F.adaptive_avg_pool3d(prompt, features[level].shape[2:])
                features[level] = features[level] + embed(prompt)
        tokens, x = self.attention(tokens, features[-1])
        for up, finer in zip(self.up, features[-2::-1]):
            x = up(x, finer)
        full = depth_to_space(self.full(x))
        embedding = self.last(torch.cat([full, image], dim=1))[0]
        # From the registration's mask on: what began with the coarse one's logits would keep its errors (measured).
        return prior.judged(embedding, self.weights(tokens))
