"""The labelled scans that the benchmarks run on, and the independent scorer.

A data set is a folder with dataset.json (the atlas's name and the scored groups of label values), atlas/ and
validation/, each with NAME_t1 or NAME_mr and NAME_labels as .nii.gz. Neither data nor scorer is part of the project.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from RRLMedSAMEngine import nifti
from RRLMedSAMEngine.image import Volume, read_labels, read_volume


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    image: Path
    labels: Path


class Dataset:
    """``folder``: of the data set. ``scorer``: path of score.py."""

    def __init__(self, folder, scorer):
        self.folder, self.scorer = Path(folder), Path(scorer)
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

    def score(self, labels: Volume, truth: Path, folder: Path) -> dict:
        """What the scorer says of a label map; ``truth`` is the file of the manual labels."""
        path = Path(folder) / "labels.nii.gz"
        nifti.write(path, labels.array, labels.geometry, lambda: None)
        return self.score_file(path, truth)

    def score_file(self, path: Path, truth: Path) -> dict:
        command = [sys.executable, self.scorer, "labels", "--dataset", self.folder / "dataset.json"]
        done = subprocess.run([*command, "--truth", truth, "--prediction", path], check=True, capture_output=True)
        return json.loads(done.stdout)


def add_arguments(parser) -> None:
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--scorer", required=True, help="path of score.py")
    parser.add_argument("--output", required=True, help="JSON file for the figures")
    parser.add_argument("--cases", type=int, help="only so many")
