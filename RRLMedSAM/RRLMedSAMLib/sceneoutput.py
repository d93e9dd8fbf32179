"""The engine's result as new nodes of the scene."""

import dataclasses
import os

from .deformationnodes import atlasToTargetNode, readGrid, targetToAtlasNode
from .labelnodes import LabelNodes, addition, readable
from .messages import _
from .resultnodes import markAsResult


@dataclasses.dataclass
class ResultNodes:
    """The nodes of one run. Deleting them undoes it."""

    segmentation: object
    atlasToTarget: object
    targetToAtlas: object
    confidence: object

    def all(self):
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


class Result:
    """Reads the files of a run in steps, then adds all nodes at once.

    ``inputs``: `Inputs`; ``structures``: of the atlas, see `AtlasLabels`; ``segmented``: the worker's answer;
    ``file``: callable from a file's name in the exchange folder to its path.
    """

    def __init__(self, inputs, structures, segmented, file):
        self._inputs, self._segmented, self._file = inputs, segmented, file
        self._labels = LabelNodes(inputs, structures, segmented, file)
        self.report = reportOfSegments(segmented.report, structures)

    def steps(self):
        """Generator; raises RunError internal where the files are not what the answer says."""
        with readable():
            yield from self._labels.steps()
            yield from self._labels.sign(self.report["structures"])
            forward, inverse = self._segmented.forward, self._segmented.inverse
            self._forward = yield from readGrid(self._file(forward.file), forward.voxel_to_lps)
            self._inverse = yield from readGrid(self._file(inverse.file), inverse.voxel_to_lps)

    def addToScene(self):
        """Adds the nodes beside the target and returns them as `ResultNodes`; on an error it adds none."""
        inputs, affine = self._inputs, self._segmented.affine
        with addition(inputs.target) as add:
            nodes = ResultNodes(
                add(self._labels.segmentation(), _("segmentation")),
                add(atlasToTargetNode(inputs, affine, self._forward), _("atlas to target")),
                add(targetToAtlasNode(inputs, affine, self._inverse), _("target to atlas")),
                add(self._labels.confidence(), _("confidence")),
            )
            self._labels.finish(nodes.segmentation, nodes.confidence)
            markAsResult(nodes.segmentation, nodes.all()[1:], self.report, inputs.byRole())
        return nodes


def reportOfSegments(report, structures):
    """The worker's report with the segment's ID at each structure; labels are positions in ``structures``."""
    rows = [
        {**row, "segment": structures[row["label"] - 1].segmentId}
        for row in report.get("structures", [])
        if 1 <= row["label"] <= len(structures)
    ]
    settings = dict(report.get("settings", {}))
    if "model" in settings:
        settings["model"] = os.path.basename(settings["model"])  # a folder's name may be a patient's
    return {**report, "settings": settings, "structures": rows}
