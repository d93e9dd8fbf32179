"""The last stages once more around segments that were corrected: from a click to a new result beside the corrected
one."""

import dataclasses

import numpy as np
import slicer
from RRLMedSAMEngine import protocol
from RRLMedSAMEngine.geometry import to_rows

from .atlaslabels import AtlasLabels
from .correspondence import inAtlasValues
from .deformationnodes import deformationOf
from .editing import copyEdits, editedSegments
from .errors import RunError
from .labelnodes import LabelNodes, addition, readable
from .messages import _
from .resultnodes import confidenceOf, markAsRefined, markAsResult, readReport, sourcesOf, transformOf
from .run import Run
from .sceneinput import AtlasInputs, Inputs, imageArray, roleNames
from .sceneoutput import reportOfSegments

STATUS = slicer.vtkSlicerSegmentationsModuleLogic


@dataclasses.dataclass
class RefinedNodes:
    """The nodes that a refinement added. Deleting them undoes it."""

    segmentation: object
    confidence: object


class Refinement(Run):
    """Corrected segments are kept as they are; their neighbours follow them.

    ``origin``: the corrected segmentation; ``edited``, ``added``, ``removed``: IDs of its segments that were.
    """

    def __init__(self, origin, device, worker):
        """Raises RunError bad_input where nothing was corrected, or what the result was made from is gone."""
        self.origin, sources = origin, sourcesOf(origin)
        self._transform, self._confidence = transformOf(origin), confidenceOf(origin)
        if len(sources) < len(roleNames()) or self._transform is None or self._confidence is None:
            raise RunError(
                "bad_input",
                _("The atlas, the target or the transforms of this result are no longer in the scene."),
                _("Segment the target again."),
                origin,
            )
        self.edited = editedSegments(origin)
        if not self.edited:
            raise RunError(
                "bad_input",
                _("No segment of this result was corrected yet."),
                _("Click Edit, correct one in the Segment Editor, and come back."),
                origin,
            )
        super().__init__(Inputs(*(sources[role] for role in roleNames())), {"device": device}, worker)

    def _checkInputs(self):
        super()._checkInputs()
        scene = self.origin.GetScene()
        if scene is None or not scene.IsNodePresent(self.origin):
            self.stop(RunError("bad_input", _("The corrected segmentation was deleted."), _("Choose another result.")))

    def _prepare(self, folder, labels):
        for _step in labels.steps():
            yield
        layers = yield from self._corrected(labels)
        displacements, gridToLps, affine = deformationOf(self._transform, self.inputs)
        inputs = self.inputs
        atlas, target = (imageArray(node.GetImageData()) for node in (inputs.atlasVolume, inputs.target))
        confidence = imageArray(self._confidence.GetImageData())
        files = [
            ("atlas.npy", atlas),
            ("target.npy", target),
            ("confidence.npy", confidence),
            ("field.npy", displacements),
        ]
        files += [(f"labels{number}.npy", layer) for number, layer in enumerate(labels.layers)]
        files += [(f"corrected{number}.npy", layer) for number, layer in enumerate(layers)]
        yield from self._write(folder, files)
        count, target_frame = len(labels.layers), to_rows(inputs.targetVoxelToLps)
        return protocol.Refine(
            id=self._id,
            folder=folder.path,
            atlas=protocol.Array("atlas.npy", to_rows(inputs.atlasVoxelToLps)),
            atlas_labels=[protocol.Array(f"labels{n}.npy", to_rows(labels.voxelToLps)) for n in range(count)],
            target=protocol.Array("target.npy", target_frame),
            affine=to_rows(affine),
            forward=protocol.Field("field.npy", to_rows(gridToLps)),
            labels=[protocol.Array(f"corrected{n}.npy", target_frame) for n in range(count)],
            confidence=protocol.Array("confidence.npy", target_frame),
            edited=self.values,
            **self.settings,
        )

    def _corrected(self, labels):
        """Generator; returns the corrected segmentation as the atlas's layers, with the atlas's values."""
        read = AtlasLabels(AtlasInputs(self.inputs.target, self.origin))
        for _step in read.steps():
            yield
        shape = self.inputs.target.GetImageData().GetDimensions()[::-1]
        if read.layers[0].shape != shape or not np.allclose(read.voxelToLps, self.inputs.targetVoxelToLps, atol=1e-3):
            raise RunError(
                "bad_input",
                _("The corrected segmentation does not lie on the voxels of its target any more."),
                _("Set its source geometry to the target in the Segment Editor."),
                self.origin,
            )
        drawn = {structure.segmentId: structure for structure in read.structures}
        ids = [structure.segmentId for structure in labels.structures]
        self.removed = [segmentId for segmentId in ids if segmentId not in drawn]
        self.added = [segmentId for segmentId in drawn if segmentId not in ids]
        self.values = [n for n, segmentId in enumerate(ids, 1) if segmentId in self.edited or segmentId in self.removed]
        for structure in labels.structures:
            if structure.segmentId in drawn:  # names and colours as they are now
                own = drawn[structure.segmentId]
                structure.segment, structure.visible = own.segment, own.visible
        layers = yield from inAtlasValues(read, labels, last=self.edited)
        return layers

    def _result(self, structures, refined, file):
        return _RefinedResult(self, structures, refined, file)


class _RefinedResult:
    """As `sceneoutput.Result`, without the transforms: those of the corrected result stay."""

    def __init__(self, run, structures, refined, file):
        self._run = run
        self._labels = LabelNodes(run.inputs, structures, refined, file)
        earlier = readReport(run.origin)
        self._earlier = {row["segment"]: row for row in earlier["structures"]}
        self.report = {
            **earlier,
            **reportOfSegments(refined.report, structures),
            "settings": earlier.get("settings", {}),
            "warnings": [*earlier.get("warnings", []), *run.warnings],
        }

    def steps(self):
        """Generator; raises RunError internal where the files are not what the answer says."""
        rows = self.report["structures"]
        with readable():
            yield from self._labels.steps()
            yield from self._labels.sign(rows)
        # What is known of a structure stays true where none of its voxels has changed.
        for number, row in enumerate(rows):
            earlier = self._earlier.get(row["segment"])
            if (
                earlier is not None
                and earlier.get("signature") == row["signature"]
                and "corrected" not in row["reasons"]
            ):
                rows[number] = earlier

    def addToScene(self):
        run, origin = self._run, self._run.origin
        with addition(run.inputs.target) as add:
            nodes = RefinedNodes(
                add(self._labels.segmentation(), _("refined segmentation")),
                add(self._labels.confidence(), _("refined confidence")),
            )
            self._labels.finish(nodes.segmentation, nodes.confidence)
            segmentation = nodes.segmentation.GetSegmentation()
            copyEdits(origin, run.added, nodes.segmentation)
            for segmentId in run.edited:
                segment = segmentation.GetSegment(segmentId)
                status = STATUS.GetSegmentStatus(origin.GetSegmentation().GetSegment(segmentId))
                STATUS.SetSegmentStatus(segment, STATUS.InProgress if status == STATUS.NotStarted else status)
                segment.SetTag("DICOM.SegmentAlgorithmType", "SEMIAUTOMATIC")
            for segmentId in run.removed:
                segmentation.RemoveSegment(segmentId)
            markAsResult(nodes.segmentation, [nodes.confidence], self.report, run.inputs.byRole())
            markAsRefined(nodes.segmentation, origin)
        return nodes
