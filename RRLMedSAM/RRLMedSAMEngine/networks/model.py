"""The whole model: both encoders and what is built on them."""

import dataclasses
from typing import Generic, TypeVar

import torch
from torch import nn

from .autoprompt import AutoPromptDecoder
from .candidates import Candidates
from .coarse import CoarseDecoder
from .encoder import Encoder
from .sizes import Sizes
from .tokens import Tokens, masked_means
from .velocity import RegistrationHead

PROMPTS = 2  # the coarse mask, and the refined one once

Mask = TypeVar("Mask")


@dataclasses.dataclass
class Masks(Generic[Mask]):
    """What a model says of one image: the general model's mask, and the one that it prompts."""

    coarse: Mask
    refined: Mask


class Model(nn.Module):
    """Images are (1, 1, k, j, i), `standardised`, an even number of voxels along each axis."""

    def __init__(self, sizes: Sizes = Sizes()):
        super().__init__()
        self.sizes = sizes
        self.general, self.medical = Encoder(sizes), Encoder(sizes)
        self.general_tokens, self.medical_tokens = Tokens(sizes), Tokens(sizes)
        self.coarse = CoarseDecoder(sizes)
        self.refined = AutoPromptDecoder(sizes)
        self.registration = RegistrationHead(sizes)

    def describe(self, image: torch.Tensor, labels: torch.Tensor, count: int) -> torch.Tensor:
        """What both encoders see of an atlas's structures: (2, count, features), without gradients.

        ``image``: (1, 1, k, j, i). ``labels``: (k, j, i) int64, 0 .. count - 1.
        """
        with torch.no_grad():
            return torch.stack([masked_means(e(image), labels, count) for e in (self.general, self.medical)])

    def velocity(self, target: torch.Tensor, atlas: torch.Tensor) -> torch.Tensor:
        """The velocity field (3, k/2, j/2, i/2), in voxels of this half grid, that deforms the atlas to the target:
        images (k, j, i), any scale."""
        pair = torch.stack([standardised(target), standardised(atlas)])[:, None]
        features = self.medical(pair)
        return self.registration([f[:1] for f in features], [f[1:] for f in features])

    def features(self, image: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """What both encoders, general and medical, see in ``image``: (1, 1, k, j, i), `standardised`."""
        return self.general(image), self.medical(image)

    def forward(
        self, image: torch.Tensor, atlas: torch.Tensor, prior: Candidates, prompts: int = PROMPTS
    ) -> Masks[Candidates]:
        """``image``: (1, 1, k, j, i), `standardised`. ``atlas``: as `describe` gives it. ``prior``: the structures
        that the registration suggests in each voxel. ``prompts``: how many masks prompt, one after the other: the
        coarse one, then what the decoder made of it."""
        return self.masks(self.features(image), image, atlas, prior, prompts)

    def masks(self, features, image, atlas, prior: Candidates, prompts: int) -> Masks[Candidates]:
        """As `forward`, of the image's `features`."""
        (general, medical), count = features, atlas.shape[1]
        seen = masked_means(general, prior.winner(), count)
        coarse = mask = self.coarse(general, self.general_tokens(atlas[0], seen), prior)
        for _ in range(prompts):
            # The decoder learns from the mask before, not through it: each has its own loss.
            prompt = mask.with_logits(mask.logits.detach())
            seen = masked_means(medical, prompt.winner(), count)
            mask = self.refined(medical, self.medical_tokens(atlas[1], seen), image, prior, prompt)
        return Masks(coarse, mask)


def standardised(image: torch.Tensor) -> torch.Tensor:
    """Mean 0 and standard deviation 1, whatever the modality."""
    return (image - image.mean()) / (image.std() + 1e-5)
