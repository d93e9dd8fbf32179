"""A result that lies in files, brought into the scene to be looked at and corrected."""

import json
import os

import slicer

from .errors import RunError
from .messages import _
from .resultnodes import markAsResult
from .scene import placeBeside, removeWithDisplay

VOLUME = "vtkMRMLVolumeArchetype"  # reads DICOM series, too
CONFIDENCE, SEGMENTATION, REPORT = "confidence.nii.gz", "segmentation.seg.nrrd", "report.json"


def loadResult(folder, targetPath):
    """Loads the target, its segmentation and confidence; returns the segmentation node.

    ``folder``: that of the result's files; ``targetPath``: the target's file or DICOM folder. Both fields stay files.
    Raises RunError, and leaves nothing in the scene then.
    """
    name = os.path.basename(folder)
    made = []
    try:
        with open(os.path.join(folder, REPORT), encoding="utf-8") as file:
            report = json.load(file)
        target = _read(VOLUME, _firstFile(targetPath), name, made)
        segmentation = _read(
            "vtkMRMLSegmentation", os.path.join(folder, SEGMENTATION), _("{name} segmentation").format(name=name), made
        )
        confidence = _read(VOLUME, os.path.join(folder, CONFIDENCE), _("{name} confidence").format(name=name), made)
        for row in report["structures"]:
            row["segment"] = f"Segment_{row['label']}"
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        for node in made:
            removeWithDisplay(node)
        raise RunError(
            "bad_input", _("The result's files cannot be loaded."), _("Look for them in the output folder.")
        ) from error
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(target)
    markAsResult(segmentation, [confidence], report, {"target": target})
    placeBeside(segmentation, target)
    placeBeside(confidence, target)
    return segmentation


def _read(kind, path, name, made):
    """A new node from its file; on a failure ValueError. ``made``: gets the nodes that are in the scene by then."""
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass(f"{kind}Node" if kind != VOLUME else "vtkMRMLScalarVolumeNode", name)
    storage = scene.AddNewNodeByClass(f"{kind}StorageNode")
    made.append(node)
    node.SetAndObserveStorageNodeID(storage.GetID())
    storage.SetFileName(path)
    if not os.path.isfile(path) or not storage.ReadData(node):
        raise ValueError("cannot be read")
    node.CreateDefaultDisplayNodes()
    return node


def _firstFile(path):
    """Slicer reads a DICOM series by one of its files."""
    if not os.path.isdir(path):
        return path
    return min(entry.path for entry in os.scandir(path) if entry.is_file() and not entry.name.startswith("."))
