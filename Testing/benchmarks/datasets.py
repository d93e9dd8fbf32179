"""The labelled scans that the benchmarks run on.

A data set is a folder with atlas/ (one case) and validation/, each with NAME_t1, NAME_mr or the like and NAME_labels as
.nii.gz, for adaptations unlabeled/ with scans alone, and dataset.json, of which the scored structures are read, by name
the label values that are joined:

    {"groups": {"Brain stem": [35], "Cerebellar vermis": [71, 72, 73]}}

A scorer is a program that is called as `SCORER labels --dataset JSON --truth FILE --prediction FILE` and prints a JSON
object with dice, hd95_mm and groups, {name: {"dice": ...}}. The data are not part of the project.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import nifti
from RRLMedSAMEngine.atlas import Atlas
from RRLMedSAMEngine.image import Volume, read_labels, read_volume

from . import measures


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    image: Path
    labels: Path

    def read(self) -> tuple[Volume, np.ndarray]:
        """The image as a run takes it, and the manual labels (k, j, i)."""
        return _rounded(read_volume(self.image)), read_labels(self.labels).array


class Dataset:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.name = self.folder.name
        self.content = json.loads((self.folder / "dataset.json").read_text())
        self.atlas = self._cases("atlas")[0]
        self.validation = self._cases("validation")

    def _cases(self, part):
        cases = []
        for labels in sorted((self.folder / part).glob("*_labels.nii.gz")):
            name = labels.name[: -len("_labels.nii.gz")]
            image = next(p for p in labels.parent.glob(f"{name}_*.nii.gz") if p != labels)
            cases.append(Case(name, image, labels))
        return cases

    def read_atlas(self) -> tuple[Volume, Volume]:
        return read_volume(self.atlas.image), read_labels(self.atlas.labels)

    def make_atlas(self) -> Atlas:
        """The atlas as a run takes it."""
        image, labels = map(_rounded, self.read_atlas())
        return Atlas(image, [labels])

    def score(self, labels: Volume, truth: Path, folder, scorer=None) -> dict:
        """Dice, HD95 (mm) and Dice of each group of a label map; ``truth`` is the file of the manual labels.

        ``scorer``: a program that is asked instead of `measures.overlap`.
        """
        if scorer is None:
            return measures.overlap(
                read_labels(truth).array, labels.array, self.content["groups"], labels.geometry.spacing[::-1]
            )
        path = Path(folder) / "labels.nii.gz"
        nifti.write(path, labels.array, labels.geometry, lambda: None)
        return self.score_file(path, truth, scorer)

    def score_file(self, path: Path, truth: Path, scorer=None) -> dict:
        """As `score`, of a file."""
        if scorer is None:
            return self.score(read_labels(path), truth, None)
        command = [sys.executable, scorer, "labels", "--dataset", self.folder / "dataset.json"]
        done = subprocess.run([*command, "--truth", truth, "--prediction", path], check=True, capture_output=True)
        found = json.loads(done.stdout)
        return {**found, "groups": {name: group["dice"] for name, group in found["groups"].items()}}


def _rounded(volume: Volume) -> Volume:
    return Volume(volume.array, volume.geometry.rounded())
