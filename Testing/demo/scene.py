"""The result in a MRML scene against the truth, and the scene's nodes as files. As in Slicer: RAS mm, camelCase."""

import numpy as np
import slicer
import slicer.util
from RRLMedSAMLib.resultnodes import readReport
from RRLMedSAMLib.scene import LPS_FROM_RAS


def addLabelMap(segmentationNode, volume, name):
    """A segmentation as a new label map node on the volume's grid: the segments' positions, from 1."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    ids = segmentationNode.GetSegmentation().GetSegmentIDs()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.ExportSegmentsToLabelmapNode(segmentationNode, ids, node, volume):
        raise RuntimeError("The segments could not be written to a label map.")
    return node


def dicePerSegment(labelMap, truth, structures):
    """{structure's name: Dice}. ``truth``: (k, j, i), the structures' values, on the label map's grid."""
    count = len(structures) + 1
    pairs = truth.astype(int) * count + slicer.util.arrayFromVolume(labelMap)
    joint = np.bincount(pairs.ravel(), minlength=count**2).reshape(count, count)
    both = joint.diagonal()
    with np.errstate(invalid="ignore"):
        dice = 2 * both / (joint.sum(0) + joint.sum(1))
    return {structure.name: float(dice[structure.value]) for structure in structures}


def meanDistance(transformNode, knownMap, points):
    """Mean mm between where the node and the known map take target points to. ``points``: (n, 3), LPS mm."""
    transform = transformNode.GetTransformFromParent()
    ras = points @ LPS_FROM_RAS[:3, :3]
    found = np.array([transform.TransformPoint(point) for point in ras]) @ LPS_FROM_RAS[:3, :3]
    return float(np.linalg.norm(found - knownMap(points), axis=1).mean())


def confidences(segmentationNode):
    """{segment's name: percent, or None}, as the report in the node has them."""
    segmentation = segmentationNode.GetSegmentation()
    rows = readReport(segmentationNode)["structures"]
    return {segmentation.GetSegment(row["segment"]).GetName(): row["confidence"] for row in rows}


def save(node, path):
    """Writes a node to a file by its own storage node, which the scene bundle then knows. Raises OSError."""
    if not node.GetStorageNode():
        node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(path))
    if not node.GetStorageNode().WriteData(node):
        raise OSError(f"{path.name} could not be written.")


def saveField(transformNode, volume, path):
    """Writes the transform as a displacement field on the volume's grid, as the command line does: LPS mm, ITK."""
    field = slicer.modules.transforms.logic().ConvertToGridTransform(transformNode, volume)
    save(field, path)
    slicer.mrmlScene.RemoveNode(field)


def saveScene(path):
    """Writes a scene bundle. Raises OSError."""
    if not slicer.mrmlScene.WriteToMRB(str(path)):
        raise OSError(f"{path.name} could not be written.")
