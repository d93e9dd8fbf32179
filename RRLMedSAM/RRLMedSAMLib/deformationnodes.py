"""The engine's deformation as transform nodes, and read back from them.

The engine's x is a point of the target, LPS mm in its local frame: ``x + displacement(x)``, then ``affine``, is where
the atlas has it, in the same frame. MRML's transforms are RAS.
"""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .errors import RunError
from .exchange import reading
from .messages import _
from .scene import LPS_FROM_RAS, toArray, toMatrix

RAS_SIGNS = LPS_FROM_RAS.diagonal()[:3]


def readGrid(path, voxelToLps):
    """Generator that reads a displacement field's file (k, j, i, 3), LPS mm; returns a vtkOrientedGridTransform.

    Raises ValueError where the file is no such array.
    """
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape = np.lib.format.read_array_header_1_0(file)[0]
    image = vtk.vtkImageData()
    image.SetDimensions(*(int(n) for n in shape[2::-1]))
    image.AllocateScalars(vtk.VTK_FLOAT, 3)
    array = _gridArray(image)
    for piece, values in reading(path, shape):
        np.multiply(values, RAS_SIGNS, out=array[piece], casting="same_kind")
        yield
    voxelToRas = LPS_FROM_RAS @ np.array(voxelToLps)
    spacing = np.linalg.norm(voxelToRas[:3, :3], axis=0)
    direction = np.eye(4)
    direction[:3, :3] = voxelToRas[:3, :3] / spacing
    image.SetOrigin(voxelToRas[:3, 3])
    image.SetSpacing(spacing)
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    grid.SetGridDirectionMatrix(toMatrix(direction))
    grid.SetInterpolationModeToLinear()  # as the engine; MRML's default is cubic
    return grid


def atlasToTargetNode(inputs, affine, forward):
    """The node that carries the atlas to the target. ``forward``: `readGrid`'s; ``affine``: (4, 4), LPS.

    Placed where the target is, its from-parent must take the target's local points to the atlas's own local points.
    """
    linear = np.linalg.inv(inputs.atlasToTarget) @ _inRas(affine)
    return _transformNode(forward, toMatrix(linear), inputs.target, inputs.atlasVolume)


def targetToAtlasNode(inputs, affine, inverse):
    """The node that carries the target to where the atlas is.

    The parent's points are positions of the atlas in the target's local frame already: no parent enters.
    """
    linear = np.linalg.inv(_inRas(affine))
    return _transformNode(toMatrix(linear), inverse, inputs.atlasVolume, inputs.target)


def deformationOf(atlasToTargetNode, inputs):
    """(displacements (k, j, i, 3) LPS mm, their voxel -> LPS (4, 4), affine (4, 4) LPS) of a node that a run made.

    Raises RunError bad_input where it was changed into another kind of transform since.
    """
    parts = _fieldAndAffine(atlasToTargetNode)
    if parts is None:
        raise RunError(
            "bad_input",
            _("The transform of this result was changed since its run."),
            _("Segment the target again."),
            atlasToTargetNode,
        )
    grid, linear = parts
    image = grid.GetDisplacementGrid()
    voxelToRas = toArray(grid.GetGridDirectionMatrix()) if grid.GetGridDirectionMatrix() else np.eye(4)
    voxelToRas[:3, :3] = voxelToRas[:3, :3] * image.GetSpacing()
    voxelToRas[:3, 3] = image.GetOrigin()
    # One grid after Slicer's storage may be scaled; what counts is what the transform does.
    displacements = (_gridArray(image) * (grid.GetDisplacementScale() * RAS_SIGNS)).astype(np.float32)
    affine = _inRas(inputs.atlasToTarget @ toArray(linear.GetMatrix()))
    return displacements, LPS_FROM_RAS @ voxelToRas, affine


def fieldOf(atlasToTargetNode):
    """The deformation without the affine part, from the target's points (vtkOrientedGridTransform); None where the node
    was changed into another kind of transform since its run."""
    parts = _fieldAndAffine(atlasToTargetNode)
    return parts and parts[0]


def _fieldAndAffine(node):
    parts = _parts(node.GetTransformFromParent())
    kinds = slicer.vtkOrientedGridTransform, vtk.vtkLinearTransform
    return parts if len(parts) == 2 and all(map(isinstance, parts, kinds)) else None


def _inRas(matrix):
    """A map of points (4, 4) from LPS to RAS, or back."""
    return LPS_FROM_RAS @ np.asarray(matrix) @ LPS_FROM_RAS


def _gridArray(image):
    """A displacement grid's vectors as a view (k, j, i, 3)."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*image.GetDimensions()[::-1], 3)


def _parts(transform):
    if not transform.IsA("vtkGeneralTransform"):
        return [transform]
    return [transform.GetConcatenatedTransform(n) for n in range(transform.GetNumberOfConcatenatedTransforms())]


def _transformNode(first, second, fixed, moving):
    """Its from-parent applies the first, then the second (a transform or a vtkMatrix4x4)."""
    transform = vtk.vtkGeneralTransform()
    transform.PostMultiply()
    transform.Concatenate(first)
    transform.Concatenate(second)
    node = slicer.vtkMRMLTransformNode()
    node.SetAndObserveTransformFromParent(transform)
    node.AddNodeReferenceID(node.GetFixedNodeReferenceRole(), fixed.GetID())
    node.AddNodeReferenceID(node.GetMovingNodeReferenceRole(), moving.GetID())
    return node
