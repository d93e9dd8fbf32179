"""Where results lie: against a deformation known in closed form, with awkward grids and parent transforms."""

import itertools

import numpy as np
import phantom
import pytest
import slicer
import slicer.util
import vtk
from fakeworker import AFFINE, SHIFTED_ROWS, forwardAt, inverseAt, workGrid
from phantom import boxes, geometry
from RRLMedSAMEngine.protocol import Array
from RRLMedSAMLib.scene import LPS_FROM_RAS

TOLERANCE_MM = 0.01
CASES = {
    "plain": (geometry((1, 1, 1)), geometry((1, 1, 1)), False),
    "oblique": (geometry((1, 1, 1), (20, -35, 10), origin=(30, -60, 12)), geometry((1.2, 0.9, 1), (5, 8, -70)), False),
    "left-handed, thick slices": (
        geometry((0.8, 0.9, 2.5), (0, 12, 3), flip=True),
        geometry((1, 1, 2), flip=True),
        False,
    ),
    "parents": (geometry((1, 1, 1)), geometry((1, 1, 1)), True),
    "all": (
        geometry((0.8, 1.1, 2.0), (20, -35, 10), flip=True, origin=(-50, 20, 90)),
        geometry((1.0, 1.3, 0.7), (-100, 15, 40), origin=(5, 5, -40)),
        True,
    ),
}


@pytest.fixture(params=CASES)
def case(request, scene, goodLogic):
    """(target, atlas, ResultNodes) of a run whose answer is known."""
    targetGrid, atlasGrid, hasParents = CASES[request.param]
    target = phantom.volume(scene, "target", (18, 26, 30), targetGrid, seed=1)
    atlas = phantom.volume(scene, "atlas", (20, 24, 28), atlasGrid)
    if hasParents:
        random = np.random.default_rng(7)
        top = phantom.linear(scene, phantom.randomLinear(random))
        target.SetAndObserveTransformNodeID(phantom.linear(scene, phantom.randomLinear(random), top).GetID())
        atlas.SetAndObserveTransformNodeID(phantom.linear(scene, phantom.randomLinear(random)).GetID())
    labels = boxes((20, 24, 28))
    segmentation = phantom.segmentation(scene, "atlas segmentation", {str(n): labels == n for n in (1, 2, 3)}, atlas)
    return target, atlas, goodLogic.segmentAndWait(atlas, segmentation, target)


def transformed(transform, points):
    return np.array([transform.TransformPoint(*point) for point in points])


def between(source, destination):
    """Transform from a node's own frame to another's; None is the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, destination, transform)
    return transform


def knownPoints(target, fromInverse=False):
    """Points x in the target's local RAS and T(x), where they are in the atlas, in the same frame.

    They are nodes of the grid on which the forward (or the inverse) field is stored: exact there, between them
    as good as linear interpolation.
    """
    targetToLps = LPS_FROM_RAS @ slicer.util.arrayFromVTKMatrix(_ijkToRas(target))
    request = type("Request", (), {"target": Array("", targetToLps)})
    matrix, shape, centre, radius = workGrid(request, slicer.util.arrayFromVolume(target).shape)
    index = np.array(list(itertools.product(*(range(5, size - 5, 7) for size in shape[::-1]))))
    nodes = index @ matrix[:3, :3].T + matrix[:3, 3]
    if fromInverse:
        p, x = nodes, nodes + inverseAt(nodes, centre, radius)
    else:
        p, x = nodes + forwardAt(nodes, centre, radius), nodes
    y = p @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    flip = LPS_FROM_RAS.diagonal()[:3]
    return x * flip, y * flip


def _ijkToRas(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_atlas_put_under_the_first_transform_lands_on_the_target(case):
    target, atlas, nodes = case
    x, y = knownPoints(target)
    targetParent, atlasParent = target.GetParentTransformNode(), atlas.GetParentTransformNode()
    assert nodes.atlasToTarget.GetParentTransformNode() is targetParent
    world = transformed(between(targetParent, None), x)
    atlasWorld = transformed(between(targetParent, None), y)
    atlasLocal = transformed(between(None, atlasParent), atlasWorld)
    moved = np.ptp(x - y, axis=0)
    assert moved.min() > 0.5  # the deformation is no translation
    # Where a voxel of the atlas under the node is read for a point of the world.
    atlas.SetAndObserveTransformNodeID(nodes.atlasToTarget.GetID())
    read = transformed(between(None, atlas.GetParentTransformNode()), world)
    assert np.linalg.norm(read - atlasLocal, axis=1).max() < TOLERANCE_MM
    # And where a point of the atlas, of a model for instance, goes.
    goes = transformed(between(atlas.GetParentTransformNode(), None), atlasLocal)
    assert np.linalg.norm(goes - world, axis=1).max() < TOLERANCE_MM


def test_target_put_under_the_second_transform_lands_on_the_atlas(case):
    target, _atlas, nodes = case
    x, y = knownPoints(target, fromInverse=True)
    toWorld = between(target.GetParentTransformNode(), None)
    world, atlasWorld = transformed(toWorld, x), transformed(toWorld, y)
    target.SetAndObserveTransformNodeID(nodes.targetToAtlas.GetID())
    read = transformed(between(None, target.GetParentTransformNode()), atlasWorld)
    assert np.linalg.norm(read - x, axis=1).max() < TOLERANCE_MM
    goes = transformed(between(target.GetParentTransformNode(), None), x)
    assert np.linalg.norm(goes - atlasWorld, axis=1).max() < TOLERANCE_MM
    assert np.linalg.norm(world - atlasWorld, axis=1).min() > 1


def test_labels_lie_on_the_targets_voxels(case):
    target, _atlas, nodes = case
    expected = np.zeros((18, 26, 30), np.uint8)
    expected[:, :24, :28] = np.roll(boxes((20, 24, 28)), SHIFTED_ROWS, axis=1)[:18]
    assert nodes.segmentation.GetParentTransformNode() is target.GetParentTransformNode()
    for value in (1, 2, 3):
        found = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, f"id-{value}", target)
        assert np.array_equal(found, expected == value)
    # The voxels' place, without going through the reference geometry.
    image = nodes.segmentation.GetSegmentation().GetSegment("id-2").GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    assert np.allclose(
        slicer.util.arrayFromVTKMatrix(matrix), slicer.util.arrayFromVTKMatrix(_ijkToRas(target)), atol=1e-9
    )


def test_confidence_lies_on_the_targets_voxels(case):
    target, _atlas, nodes = case
    assert np.array_equal(slicer.util.arrayFromVolume(nodes.confidence), np.full((18, 26, 30), 87, np.uint8))
    assert nodes.confidence.GetParentTransformNode() is target.GetParentTransformNode()
    assert np.allclose(
        slicer.util.arrayFromVTKMatrix(_ijkToRas(nodes.confidence)), slicer.util.arrayFromVTKMatrix(_ijkToRas(target))
    )


def test_transforms_survive_a_file(case, tmp_path, scene):
    """The composite of grid and matrix, written and read by MRML's own storage."""
    target, _atlas, nodes = case
    x, _y = knownPoints(target)
    for node in (nodes.atlasToTarget, nodes.targetToAtlas):
        storage = scene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
        storage.SetFileName(str(tmp_path / "transform.h5"))
        assert storage.WriteData(node)
        copy = scene.AddNewNodeByClass("vtkMRMLTransformNode")
        assert storage.ReadData(copy)
        written, read = (transformed(n.GetTransformFromParent(), x) for n in (node, copy))
        assert np.linalg.norm(written - read, axis=1).max() < 0.05  # MRML reads grids with cubic interpolation
