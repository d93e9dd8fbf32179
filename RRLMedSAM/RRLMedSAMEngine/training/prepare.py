"""Volumes made into training cases: registered once, labelled by that, kept on the disk.

An example is a volume that a person has labelled: it is registered as well, but keeps the labels it has.
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import torch

from .. import confidence, devices, pairwise
from ..atlas import Atlas
from ..borders import Borders
from ..errors import HOPELESS, Cancelled, WritingError, bad_input
from ..failures import as_engine_error
from ..frame import numbered
from ..image import Volume
from ..progress import Progress
from ..sampling import nearest, sample
from ..transfer import Transfer
from . import cases

EFFORT = "best"  # what is learnt can hardly be better than what it is learnt from
EXAMPLES_SHARE = 0.25  # of the training's samples: their labels are worth more than those that registration found
POOR = 0.6  # of the upper quartile of trust, below which a scan is left out: it shows something else


def content_hash(volume: Volume) -> str:
    """SHA-256 of a volume's voxels and place: the same scan under another name is the same scan."""
    digest = hashlib.sha256(volume.geometry.voxel_to_lps.tobytes())
    digest.update(np.ascontiguousarray(volume.array, np.float32).tobytes())
    return digest.hexdigest()


class Preparation:
    """Makes cases of scans in ``folder``, one at a time. ``atlas``: with one label map."""

    def __init__(self, atlas: Atlas, folder: Path, device: str):
        self._atlas, self._folder, self._device = atlas, folder, device
        (self._values,) = atlas.values

    def make(self, scan: Volume, check, drawn: Volume | None = None) -> Path:
        """The case's file, made unless it is there. Raises EngineError for a scan that cannot be used.

        ``drawn``: the labels of an example, with the atlas's values; others count as background.
        """
        volume = Volume(scan.array, scan.geometry.rounded())
        parts = [volume] if drawn is None else [volume, Volume(drawn.array, drawn.geometry.rounded())]
        path = self._folder / ("-".join(map(content_hash, parts)) + cases.ENDING)
        if not cases.is_whole(path):
            case, _ = devices.with_ladder(
                lambda step: self._case(*parts, step=step, check=check), devices.ladder(self._device), lambda _: None
            )
            cases.save(case, path)
        return path

    def _case(self, volume, drawn=None, *, step, check):
        def cancelled():
            check()
            return False

        clock = Progress(lambda *_: None, cancelled)
        found = pairwise.register(self._atlas, volume, EFFORT, step, clock)
        affine, grid = found.affine, found.grid
        frame = self._atlas.frame
        seen_from = frame.seen_from(affine)
        pictures = (
            frame.image(found.familiar, affine).cpu(),
            frame.displacement(found.displacement, grid, affine).cpu(),
        )
        if drawn is not None:
            labels = numbered(nearest(drawn.array, drawn.geometry, seen_from), self._values)
            if not bool(labels.any()):
                raise bad_input(
                    "An example has none of the atlas's structures.", "Choose the segmentation drawn on it."
                )
            is_seen = nearest(np.ones(volume.geometry.shape, np.uint8), volume.geometry, seen_from)
            return cases.Case(*pictures, labels, torch.from_numpy(is_seen).float())
        transfer = Transfer.registered(self._atlas.labels, found)
        maps, certainty = transfer.warped(seen_from, check)
        carried = torch.from_numpy(maps[0] > 0)
        second = self._second(volume, step, clock)
        Borders(transfer, found, seen_from, check, second=second).refine(maps, certainty)
        agreement = confidence.agreement(found.target.image, found.warped)
        near = sample(agreement[None], transfer.voxels(seen_from) - found.margin)[0].view(seen_from.shape)
        trust = torch.from_numpy(certainty).float().div_(100) * near.cpu()
        # Where registration carried a structure to: the refined labels of a scan of something else retreat to the few
        # places where it happens to agree.
        mean_trust = float(trust[carried].mean()) if bool(carried.any()) else 0.0
        return cases.Case(*pictures, numbered(maps[0], self._values), trust, mean_trust)

    def _second(self, volume, step, clock):
        """The mirror image of a symmetric atlas, registered as well: as `Borders` takes it."""
        twin = self._atlas.mirrored(clock.check)
        if twin is None:
            return None
        found = pairwise.register(twin, volume, EFFORT, step, clock)
        return Transfer.registered(twin.labels, found), found


def without_strangers(paths: list[Path]) -> list[Path]:
    """The cases whose registration is about as good as the others': another anatomy or modality falls behind."""
    trust = np.array([cases.mean_trust(path) for path in paths])
    return [path for path, value in zip(paths, trust) if value >= POOR * np.percentile(trust, 75)]


@dataclasses.dataclass(frozen=True)
class Found:
    """The cases' files, each once and in order, and how many scans were left out."""

    scans: list[Path]
    examples: list[Path]
    skipped: int

    def drawn_from(self) -> list[Path]:
        """What a sampler draws from: examples so often that they are about a quarter beside the scans."""
        if not self.examples:
            return self.scans
        share = EXAMPLES_SHARE / (1 - EXAMPLES_SHARE)
        return self.scans + self.examples * max(1, round(share * len(self.scans) / len(self.examples)))


def collect(maker: Preparation, scans, examples, scan_names, *, tell, warn, check, is_late) -> Found:
    """The cases of all that can be used; a scan that cannot, for whatever reason, is left out with a warning.

    ``scans``, ``examples``, ``scan_names``: as `adapt.adapt` has them. ``is_late()``: no further scan is prepared
    then, unless there is none yet. ``tell(text)``, ``warn(text)`` and ``check()`` are called meanwhile. Raises
    EngineError.
    """
    labelled, found, skipped, failure = [], [], 0, None
    for number, example in enumerate(examples, start=1):
        check()
        tell(f"example {number} of {len(examples)}")
        image, drawn = example()
        labelled.append(maker.make(image, check, drawn))
    for number, (scan, name) in enumerate(zip(scans, scan_names), start=1):
        check()
        if found and is_late():
            warn(f"The time allows for {number - 1} of {len(scans)} scans; the others were left out.")
            break
        tell(f"scan {number} of {len(scans)}")
        try:
            found.append(maker.make(scan(), check))
        except (Cancelled, WritingError):
            raise
        except Exception as error:
            error = as_engine_error(error)
            if error.code in HOPELESS:
                raise error
            if error.code not in ("bad_input", "no_overlap"):
                failure = error
            skipped += 1
            warn(f"{name} was left out. {error.text}")
    found = sorted(set(found))
    alike = without_strangers(found) if found else []
    if len(alike) < len(found):
        skipped += len(found) - len(alike)
        warn(f"{len(found) - len(alike)} scans were left out: they hardly look like the atlas.")
    if not alike and not labelled:
        raise failure or bad_input(
            "None of the unlabelled scans can be used.", "Check that they show the atlas's anatomy."
        )
    return Found(alike, sorted(set(labelled)), skipped)
