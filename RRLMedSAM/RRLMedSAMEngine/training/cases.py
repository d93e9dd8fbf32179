"""Unlabelled scans as training sees them: aligned to the atlas's frame, with the labels that registration gave them."""

import dataclasses
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..files import replacing

ENDING = ".case.safetensors"
TRUST = "mean_trust"


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """An unlabelled scan in the atlas's frame, or a part of it.

    ``image``: (k, j, i), about 0..1. ``displacement``: (3, k, j, i) in the frame's voxels: y + d(y) is the atlas point
    of the scan's point y. ``labels``: (k, j, i) int64, pseudo labels numbered as the atlas's. ``trust``: (k, j, i),
    0..1, how far to believe them.
    """

    image: torch.Tensor
    displacement: torch.Tensor
    labels: torch.Tensor
    trust: torch.Tensor
    mean_trust: float = 1.0

    def to(self, device) -> "Case":
        tensors = (self.image, self.displacement, self.labels, self.trust)
        return Case(*(t.to(device) for t in tensors), self.mean_trust)


def unlabelled(image: torch.Tensor) -> Case:
    """A case of an image (k, j, i) of which nothing else is known."""
    return Case(
        image, torch.zeros(3, *image.shape), torch.zeros(image.shape, dtype=torch.int64), torch.zeros(image.shape)
    )


def save(case: Case, path: Path) -> None:
    """Raises `errors.WritingError`."""
    tensors = {
        "image": case.image.half(),
        "displacement": case.displacement.half(),
        "labels": case.labels.to(torch.int16),
        "trust": (100 * case.trust).round().to(torch.uint8),
    }
    with replacing(path) as part:
        save_file({name: t.contiguous() for name, t in tensors.items()}, part, {TRUST: str(case.mean_trust)})


def is_whole(path: Path) -> bool:
    """Whether there is such a case, and none that is cut off."""
    try:
        mean_trust(path)
    except (OSError, SafetensorError):
        return False
    return True


def load(path: Path, part: tuple[slice, slice, slice] = (slice(None),) * 3, device="cpu") -> Case:
    """The whole case or a part of it; only that part is read from the disk, and widened on the ``device``."""
    with safe_open(path, "pt") as file:
        return Case(
            file.get_slice("image")[part].to(device).float(),
            file.get_slice("displacement")[(slice(None), *part)].to(device).float(),
            file.get_slice("labels")[part].to(device).long(),
            file.get_slice("trust")[part].to(device).float() / 100,
            float(file.metadata()[TRUST]),
        )


def mean_trust(path: Path) -> float:
    """`Case.mean_trust` of a saved case, without reading it."""
    with safe_open(path, "pt") as file:
        return float(file.metadata()[TRUST])


def load_image(path: Path, part: tuple[slice, slice, slice]) -> torch.Tensor:
    """A part of a saved case's image."""
    with safe_open(path, "pt") as file:
        return file.get_slice("image")[part].float()


def shape(path: Path) -> tuple[int, int, int]:
    """(k, j, i) of a saved case."""
    with safe_open(path, "pt") as file:
        return tuple(file.get_slice("image").get_shape())
