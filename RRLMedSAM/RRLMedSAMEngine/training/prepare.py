"""Unlabelled volumes made into training cases: registered once, labelled by that, kept on the disk."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from .. import confidence, devices, pairwise
from ..atlas import Atlas
from ..frame import Frame, numbered
from ..image import Volume
from ..progress import Progress
from ..sampling import sample
from ..transfer import Transfer
from . import cases

EFFORT = "balanced"
POOR = 0.6  # of the upper quartile of trust, below which a scan is left out: it shows something else


def content_hash(volume: Volume) -> str:
    """SHA-256 of a volume's voxels and place: the same scan under another name is the same scan."""
    digest = hashlib.sha256(volume.geometry.voxel_to_lps.tobytes())
    digest.update(np.ascontiguousarray(volume.array, np.float32).tobytes())
    return digest.hexdigest()


class Preparation:
    """Makes cases of scans in ``folder``, one at a time."""

    def __init__(self, atlas: Volume, labels: Volume, values, frame: Frame, folder: Path, device: str):
        self._atlas, self._labels, self._values, self._frame = Atlas(atlas, [labels]), labels, values, frame
        self._folder, self._device = folder, device

    def make(self, scan: Volume, check) -> Path:
        """The case's file, made unless it exists. Raises EngineError for a scan that cannot be used."""
        volume = Volume(scan.array, scan.geometry.rounded())
        path = self._folder / (content_hash(volume) + cases.ENDING)
        if not path.exists():
            case, _ = devices.with_ladder(
                lambda step: self._case(volume, step, check), devices.ladder(self._device), lambda _: None
            )
            cases.save(case, path)
        return path

    def _case(self, volume, step, check):
        def cancelled():
            check()
            return False

        clock = Progress(lambda *_: None, cancelled)
        found = pairwise.register(self._atlas, volume, EFFORT, step, clock)
        affine, grid = found.deformation.affine, found.deformation.grid
        seen_from = self._frame.seen_from(affine)
        transfer = Transfer([self._labels], affine, found.displacement, grid)
        maps, certainty = transfer.warped(seen_from, check)
        transfer.refine(maps, certainty, seen_from, found, check)
        agreement = confidence.agreement(found.target.image, found.warped)
        near = sample(agreement[None], transfer.voxels(seen_from) - found.margin)[0].view(seen_from.shape)
        return cases.Case(
            self._frame.image(found.target, affine).cpu(),
            self._frame.displacement(found.displacement, grid, affine).cpu(),
            numbered(maps[0], self._values),
            torch.from_numpy(certainty).float().div_(100) * near.cpu(),
        )


def without_strangers(paths: list[Path]) -> list[Path]:
    """The cases whose registration is about as good as the others': another anatomy or modality falls behind."""
    trust = np.array([cases.mean_trust(path) for path in paths])
    return [path for path, value in zip(paths, trust) if value >= POOR * np.percentile(trust, 75)]
