"""Correction by hand: the way into the Segment Editor, which segments were corrected, and how they are kept."""

import numpy as np
import slicer
import slicer.util

from .atlaslabels import BINARY_LABELMAP, imageFrame
from .exchange import pieces
from .resultnodes import readReport, refinedFrom, results, targetOf
from .scene import ijkToRas
from .sceneinput import imageArray

CLOSED_SURFACE = "Closed surface"  # vtkSegmentationConverter::GetClosedSurfaceRepresentationName()
EDITOR_TAG = "SegmentEditor"  # of the singleton node that the module Segment Editor works with


def editorNode():
    """The Segment Editor's own node; made where the module has not made it yet."""
    node = slicer.mrmlScene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(EDITOR_TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node


def selectInEditor(segmentation, segmentId):
    """Lets the Segment Editor work on the result, its target and the segment when it is opened next."""
    node = editorNode()
    node.SetAndObserveSegmentationNode(segmentation)
    target = targetOf(segmentation)
    if target is not None:
        node.SetAndObserveSourceVolumeNode(target)
    if segmentId is not None:
        node.SetSelectedSegmentID(segmentId)


def openEditor(segmentation, segmentId):
    """Shows the module Segment Editor, as `selectInEditor` has prepared it."""
    selectInEditor(segmentation, segmentId)
    slicer.util.selectModule("SegmentEditor")
    selectInEditor(segmentation, segmentId)  # when its widget is made it selects the first segment


# ---------------------------------------------------------------- which segments were corrected


def signatures(array, first, shape, values):
    """What tells the voxels of each value in a label map: how many, and two sums over where they are; (n, 3) float64.

    ``array``: (k, j, i) whose first voxel is number ``first`` (k, j, i) of the grid ``shape``.
    """
    where = np.flatnonzero(array)
    found = array.reshape(-1)[where]
    places = [at + start for at, start in zip(np.unravel_index(where, array.shape), first)]
    linear = (places[0] * shape[1] + places[1]) * shape[2] + places[2]
    mixed = (linear * 2654435761) % (1 << 20)  # sums of both are exact as float64
    size = int(max([*values, found.max() if len(found) else 0])) + 1
    sums = [np.bincount(found, weights, size) for weights in (None, linear, mixed)]
    return np.stack(sums, axis=1)[list(values)].astype(float)


def editedSegments(segmentation):
    """IDs of the segments of a result that were corrected: marked so in the Segment Editor, or other than the run's."""
    report = readReport(segmentation)
    if report is None:
        return []
    status = slicer.vtkSlicerSegmentationsModuleLogic
    now = _signatures(segmentation)
    edited = []
    for row in report["structures"]:
        segment = segmentation.GetSegmentation().GetSegment(row["segment"])
        if segment is None:
            continue
        isMarked = status.GetSegmentStatus(segment) != status.NotStarted
        if isMarked or (now is not None and "signature" in row and now[row["segment"]] != row["signature"]):
            edited.append(row["segment"])
    return edited


def _signatures(segmentation):
    """Of each segment, by its ID; None where the segmentation does not lie on the target's grid any more."""
    target, segments = targetOf(segmentation), segmentation.GetSegmentation()
    if target is None or target.GetImageData() is None:
        return None
    frame = ijkToRas(target)
    shape = target.GetImageData().GetDimensions()[::-1]
    found = {segmentId: [0.0, 0.0, 0.0] for segmentId in segments.GetSegmentIDs()}
    for layer in range(segments.GetNumberOfLayers(BINARY_LABELMAP)):
        image = segments.GetLayerDataObject(layer, BINARY_LABELMAP)
        if image is None or image.GetNumberOfPoints() == 0:
            continue
        if not np.allclose(imageFrame(image), frame, atol=1e-3):
            return None
        ids = segments.GetSegmentIDsForLayer(layer, BINARY_LABELMAP)
        values = [segments.GetSegment(segmentId).GetLabelValue() for segmentId in ids]
        array, first = imageArray(image), image.GetExtent()[4::-2]
        sums = sum(
            signatures(array[piece], (first[0] + piece.start, *first[1:]), shape, values)
            for piece in pieces(array.shape)
        )
        found.update(zip(ids, sums.tolist()))
    return found


def otherResults(segmentation):
    """The other results on the same target, but those that this one was refined from: it has their corrections."""
    target, known = targetOf(segmentation), [segmentation]
    while (origin := refinedFrom(known[-1])) is not None and origin not in known:
        known.append(origin)
    return [node for node in results() if node not in known and targetOf(node) is target]


def changeTime(segmentation):
    """VTK's time of the last change of the segments: of their voxels, names or status."""
    segments = segmentation.GetSegmentation()
    layers = range(segments.GetNumberOfLayers(BINARY_LABELMAP))
    parts = [segments.GetNthSegment(number) for number in range(segments.GetNumberOfSegments())]
    parts += [segments.GetLayerDataObject(layer, BINARY_LABELMAP) for layer in layers]
    return max(part.GetMTime() for part in (segments, *parts) if part is not None)


def copyEdits(source, segmentIds, result):
    """Copies corrected segments of an earlier result into another one, where they take the place of its own.

    Where a corrected segment lies, no other one of the result does after that.
    """
    target = targetOf(result)
    segments = result.GetSegmentation()
    hasSurfaces = segments.ContainsRepresentation(CLOSED_SURFACE)
    wasModified = result.StartModify()
    for segmentId in segmentIds:
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(source, segmentId, target) != 0
        for layer in range(segments.GetNumberOfLayers(BINARY_LABELMAP)):
            _erase(segments.GetLayerDataObject(layer, BINARY_LABELMAP), mask)
        index = segments.GetSegmentIndex(segmentId)
        if segments.GetSegment(segmentId) is not None:
            segments.RemoveSegment(segmentId)
        segments.CopySegmentFromSegmentation(source.GetSegmentation(), segmentId)
        if index >= 0:
            segments.SetSegmentIndex(segmentId, index)
    result.EndModify(wasModified)
    if hasSurfaces:  # voxels that change take the surfaces away
        result.CreateClosedSurfaceRepresentation()
    result.Modified()


def _erase(image, mask):
    """Clears the voxels of a label map (vtkOrientedImageData on a part of the target's grid) in ``mask`` (k, j, i)."""
    if image is None or image.GetNumberOfPoints() == 0:
        return
    extent = image.GetExtent()
    low = np.maximum(extent[::2], 0)
    high = np.minimum(np.array(extent[1::2]) + 1, mask.shape[::-1])
    if (low >= high).any():
        return
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
    own = tuple(slice(a - e, b - e) for a, b, e in zip(low[::-1], high[::-1], extent[4::-2]))
    imageArray(image)[own][mask[part]] = 0
    image.Modified()
