"""Unlabelled scans as training sees them: aligned to the atlas's frame, with the labels that registration gave them."""

import dataclasses
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

ENDING = ".case.safetensors"


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


def save(case: Case, path: Path) -> None:
    """Written under a temporary name first; a third of the memory's size."""
    tensors = {
        "image": case.image.half(),
        "displacement": case.displacement.half(),
        "labels": case.labels.to(torch.int16),
        "trust": (100 * case.trust).round().to(torch.uint8),
    }
    temporary = path.with_suffix(".part")
    save_file({name: t.contiguous() for name, t in tensors.items()}, temporary)
    temporary.replace(path)


def load(path: Path, part: tuple[slice, slice, slice] = (slice(None),) * 3) -> Case:
    """The whole case or a part of it; only that part is read from the disk."""
    with safe_open(path, "pt") as file:
        def read(name):
            return file.get_slice(name)
        return Case(
            read("image")[part].float(),
            read("displacement")[(slice(None), *part)].float(),
            read("labels")[part].long(),
            read("trust")[part].float() / 100,
        )
