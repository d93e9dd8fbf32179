"""The sample as nodes of a MRML scene, and the scene's nodes as files. Slicer's conventions: RAS mm, camelCase."""

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
from RRLMedSAMLib.scene import LPS_FROM_RAS, toMatrix
from RRLMedSAMLib.resultnodes import readReport


def addVolume(image, name, className="vtkMRMLScalarVolumeNode"):
    """A SimpleITK image as a new volume node."""
    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayFromImage(image))
    voxelToLps = np.eye(4)
    voxelToLps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    voxelToLps[:3, 3] = image.GetOrigin()
    node.SetIJKToRASMatrix(toMatrix(LPS_FROM_RAS @ voxelToLps))
    node.CreateDefaultDisplayNodes()
    return node


def addSegmentation(image, structures, name, volume):
    """A label map as a new segmentation node on the volume's grid, with the structures' names and colours."""
    labels = addVolume(image, name, "vtkMRMLLabelMapVolumeNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    slicer.mrmlScene.RemoveNode(labels)
    byValue = {structure.value: structure for structure in structures}
    for segment in segments(node):
        structure = byValue[segment.GetLabelValue()]
        segment.SetName(structure.name)
        segment.SetColor(structure.colour)
    return node


def segments(node):
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]


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
