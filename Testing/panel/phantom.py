"""Small nodes with awkward geometry."""

import numpy as np
import slicer
import slicer.util
import vtk


def matrixOf(array):
    return slicer.util.vtkMatrixFromArray(np.asarray(array, float))


def geometry(spacing, angles=(0.0, 0.0, 0.0), flip=False, origin=(0.0, 0.0, 0.0)):
    """(4, 4) IJKToRAS: turned by angles in degrees about x, y, z; left-handed where flipped."""
    transform = vtk.vtkTransform()
    for angle, axis in zip(angles, np.eye(3)):
        transform.RotateWXYZ(angle, *axis)
    matrix = slicer.util.arrayFromVTKMatrix(transform.GetMatrix())
    matrix[:3, :3] *= np.array(spacing) * [1, 1, -1 if flip else 1]
    matrix[:3, 3] = origin
    return matrix


def volume(scene, name, shape=(20, 24, 28), ijkToRas=None, seed=0, className="vtkMRMLScalarVolumeNode", array=None):
    """A volume node with smooth noise, int16, or with the given array (k, j, i)."""
    if array is None:
        random = np.random.default_rng(seed).normal(size=shape)
        array = np.rint(100 * np.cumsum(random, axis=0)).astype(np.int16)
    node = scene.AddNewNodeByClass(className, name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(matrixOf(geometry((1, 1, 1)) if ijkToRas is None else ijkToRas))
    node.CreateDefaultDisplayNodes()
    return node


def boxes(shape, count=3):
    """Label map (k, j, i) of boxes 1..count in a row along i."""
    labels = np.zeros(shape, np.uint8)
    for value in range(1, count + 1):
        start = 2 + 6 * (value - 1)
        labels[4 : 10 + value, 5:12, start : start + 5] = value
    return labels


def segmentation(scene, name, masks, volumeNode, shared=False):
    """A segmentation node of masks (k, j, i) drawn on the volume: {name: mask}. Each has a layer of its own,

    as in an atlas made by scripts, unless ``shared``.
    """
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    for number, (segmentName, mask) in enumerate(masks.items()):
        colour = [(0.9, 0.1, 0.1), (0.1, 0.8, 0.2), (0.2, 0.3, 0.9), (0.8, 0.8, 0.1)][number % 4]
        node.GetSegmentation().AddEmptySegment(f"id-{segmentName}", segmentName, colour)
        if mask.any():
            slicer.util.updateSegmentBinaryLabelmapFromArray(
                mask.astype(np.uint8), node, f"id-{segmentName}", volumeNode
            )
    if shared:
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
    return node


def linear(scene, matrix, parent=None):
    """A linear transform node with this matrix to its parent."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "linear")
    node.SetMatrixTransformToParent(matrixOf(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    return node


def randomLinear(random):
    """(4, 4) with rotation, some scale and shear, and a translation of centimetres."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(random.normal(size=(3, 3)))[0] @ (np.eye(3) + 0.1 * random.normal(size=(3, 3)))
    matrix[:3, 3] = random.normal(size=3) * 40
    return matrix


def bending(scene):
    """A transform node that bends space a little."""
    points = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in np.random.default_rng(0).uniform(0, 20, (6, 3)):
        source.InsertNextPoint(point)
        target.InsertNextPoint(point + [1, 0, 2 * np.sin(point[0])])
    points.SetSourceLandmarks(source)
    points.SetTargetLandmarks(target)
    points.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bend")
    node.SetAndObserveTransformToParent(points)
    return node
