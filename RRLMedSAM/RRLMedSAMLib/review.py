"""A result's structures for a second look: the doubtful ones first, why, and where."""

import numpy as np
import slicer
import vtk

from .messages import _
from .scene import LPS_FROM_RAS, toArray

DOUBTFUL = 70.0  # percent of confidence, below which a structure is to be looked at whatever the reason


def rankedStructures(segmentation, report):
    """The report's structures that still are in the segmentation, the least sure first.

    Those that the run did not find at all come first, those without a voxel in the atlas last.
    """
    present = [row for row in report["structures"] if segmentation.GetSegmentation().GetSegment(row["segment"])]
    present.sort(key=lambda row: -1 if row["confidence"] is None else row["confidence"])
    reported = {row["segment"] for row in present}
    empty = [
        {"segment": segmentId, "confidence": None, "volume_ml": None}
        for segmentId in segmentation.GetSegmentation().GetSegmentIDs()
        if segmentId not in reported
    ]
    return present + empty


def isDoubtful(structure):
    """Whether the structure is to be looked at; one without a voxel in the atlas is not."""
    if structure["volume_ml"] is None:
        return False
    return structure["confidence"] is None or structure["confidence"] < DOUBTFUL


def reasonsText(structure):
    """Why the structure may be wrong, in words; "" where nothing is known."""
    words = {
        "not_found": _("not found in the target"),
        "cut_by_view": _("cut by the field of view"),
        "unexpected_volume": _("volume outside what the atlas suggests"),
        "low_agreement": _("low agreement of the images"),
        "large_deformation": _("large deformation"),
        "corrected": _("corrected by hand"),
    }
    return ", ".join(words.get(reason, reason) for reason in structure.get("reasons", []))


def placeToCheck(segmentation, structure):
    """World RAS mm of the middle of the structure's least sure region; its centre where that is not known, or None."""
    place = structure.get("check_at_lps")  # in the target's local frame, which is the segmentation's
    if place is None:
        return segmentation.GetSegmentCenterRAS(structure["segment"])
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(segmentation.GetParentTransformNode(), None, matrix)
    return tuple((toArray(matrix) @ LPS_FROM_RAS @ np.array([*place, 1.0]))[:3])


def jumpTo(place):
    """Moves the slices to a point, world RAS mm."""
    mode = slicer.vtkMRMLSliceNode.CenteredJumpSlice
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place, mode)
