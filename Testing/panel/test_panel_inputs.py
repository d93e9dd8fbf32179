"""What a run accepts from the scene, and how the atlas's segments become label maps."""

import numpy as np
import phantom
import pytest
from phantom import boxes, geometry
from RRLMedSAMLib import atlaslabels, exchange
from RRLMedSAMLib.atlaslabels import AtlasLabels
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.scene import hardenedCopy
from RRLMedSAMLib.sceneinput import Inputs

SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    """[atlas volume, atlas segmentation, target]: all good."""
    atlas = phantom.volume(scene, "atlas", SHAPE)
    labels = boxes(SHAPE)
    segmentation = phantom.segmentation(scene, "atlas segmentation", {str(n): labels == n for n in (1, 2, 3)}, atlas)
    return [atlas, segmentation, phantom.volume(scene, "target", (18, 26, 30), seed=1)]


def read(nodes):
    labels = AtlasLabels(Inputs(*nodes))
    for _step in labels.steps():
        pass
    return labels


def refusal(nodes):
    """The error of a run on these nodes; reading the labels belongs to it."""
    with pytest.raises(RunError) as caught:
        read(nodes)
    assert caught.value.text.endswith(".") and caught.value.action.endswith(".")
    return caught.value


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_missing_node_is_named(nodes, which):
    nodes[which] = None
    assert ("atlas volume", "atlas segmentation", "target volume")[which] in refusal(nodes).text


@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((1, 20, 20), np.int16), "one voxel thin"),
        (np.zeros((20, 20, 1), np.int16), "one voxel thin"),
    ],
)
def test_thin_images_are_refused(nodes, scene, which, array, text):
    nodes[which] = phantom.volume(scene, "thin", array=array)
    assert text in refusal(nodes).text


@pytest.mark.parametrize("which", [0, 2])
def test_colour_images_are_refused(nodes, scene, which):
    colour = np.zeros((8, 9, 10, 3), np.uint8)
    nodes[which] = phantom.volume(scene, "colour", array=colour, className="vtkMRMLVectorVolumeNode")
    assert "several values in each voxel" in refusal(nodes).text


def test_a_volume_without_voxels_is_refused(nodes, scene):
    nodes[2] = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert "no voxels" in refusal(nodes).text


def test_skew_axes_are_refused(nodes):
    matrix = geometry((1, 1, 1))
    matrix[0, 1] = 0.3
    nodes[2].SetIJKToRASMatrix(phantom.matrixOf(matrix))
    assert "right angles" in refusal(nodes).text


def test_a_node_of_another_kind_is_refused(nodes, scene):
    nodes[1] = scene.AddNewNodeByClass("vtkMRMLModelNode", "model")
    assert "another kind" in refusal(nodes).text
    nodes[1] = nodes[0]
    assert "another kind" in refusal(nodes).text


def test_the_target_cannot_be_the_atlas(nodes):
    nodes[2] = nodes[0]
    assert "same node" in refusal(nodes).text


def test_a_segmentation_without_segments_or_voxels_is_refused(nodes, scene):
    nodes[1] = phantom.segmentation(scene, "none", {}, nodes[0])
    assert "no segments" in refusal(nodes).text
    nodes[1] = phantom.segmentation(scene, "empty", {"a": np.zeros(SHAPE), "b": np.zeros(SHAPE)}, nodes[0])
    assert "empty" in refusal(nodes).text


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_bending_parent_is_explained_and_a_hardened_copy_is_accepted(nodes, scene, which):
    nodes[which].SetAndObserveTransformNodeID(phantom.bending(scene).GetID())
    error = refusal(nodes)
    assert (error.code, error.node) == ("nonlinear_parent", nodes[which])
    before = nodes[which].GetTransformNodeID()
    nodes[1].GetDisplayNode().SetSegmentVisibility("id-2", False)
    nodes[which] = hardenedCopy(error.node)
    assert [structure.visible for structure in read(nodes).structures] == [True, False, True]
    assert error.node.GetTransformNodeID() == before


# ---------------------------------------------------------------- labels


def test_segments_that_do_not_overlap_share_one_layer(nodes):
    assert nodes[1].GetSegmentation().GetNumberOfLayers() == 3
    labels = read(nodes)
    assert [array.dtype for array in labels.layers] == [np.uint8]
    assert np.array_equal(labels.layers[0], boxes(SHAPE))
    assert [structure.segmentId for structure in labels.structures] == ["id-1", "id-2", "id-3"]


def test_shared_layers_are_read_alike(nodes):
    expected = read(nodes).layers[0]
    nodes[1].GetSegmentation().CollapseBinaryLabelmaps(False)
    assert nodes[1].GetSegmentation().GetNumberOfLayers() == 1
    assert np.array_equal(read(nodes).layers[0], expected)


def test_overlapping_segments_get_layers_of_their_own(nodes, scene, monkeypatch):
    monkeypatch.setattr(exchange, "PIECE", 1000)  # the overlap is found in a late piece
    whole = np.zeros(SHAPE, bool)
    whole[2:18, 2:20, 2:26] = True
    part, other = whole & (np.arange(20)[:, None, None] > 15), ~whole
    nodes[1] = phantom.segmentation(scene, "overlap", {"whole": whole, "part": part, "other": other}, nodes[0])
    labels = read(nodes)
    assert [structure.layer for structure in labels.structures] == [0, 1, 0]
    assert np.array_equal(labels.layers[0], whole * 1 + other * 3)
    assert np.array_equal(labels.layers[1], part * 2)


def test_empty_segments_keep_their_place(nodes, scene):
    first = boxes(SHAPE) == 1
    nodes[1] = phantom.segmentation(scene, "s", {"empty": np.zeros(SHAPE), "full": first}, nodes[0])
    labels = read(nodes)
    assert [structure.segmentId for structure in labels.structures] == ["id-empty", "id-full"]
    assert np.array_equal(labels.layers[0], first * 2)


def test_a_label_map_with_large_and_negative_values_is_read(nodes, scene):
    values = boxes(SHAPE).astype(np.int16)
    array = np.choose(values, [0, 4000, -7, 300]).astype(np.int16)
    nodes[1] = phantom.volume(scene, "labels", array=array, className="vtkMRMLLabelMapVolumeNode")
    table = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "colours")
    table.SetTypeToUser()
    table.SetNumberOfColors(4001)
    table.SetColor(300, "Left kidney", 0.25, 0.5, 0.75, 1.0)
    nodes[1].GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    labels = read(nodes)
    assert [structure.segmentId for structure in labels.structures] == ["Segment_-7", "Segment_300", "Segment_4000"]
    assert np.array_equal(labels.layers[0], np.choose(values, [0, 3, 1, 2]))
    kidney = labels.structures[1].segment
    assert kidney.GetName() == "Left kidney"
    assert np.allclose(kidney.GetColor(), (0.25, 0.5, 0.75), atol=0.005)


def test_an_image_given_as_label_map_is_refused(nodes, scene):
    array = np.linspace(0, 1, 8000, dtype=np.float32).reshape(20, 20, 20)
    nodes[1] = phantom.volume(scene, "labels", array=array, className="vtkMRMLLabelMapVolumeNode")
    assert "whole numbers" in refusal(nodes).text


def test_three_hundred_segments_need_two_bytes(nodes, scene):
    array = np.zeros(SHAPE, np.int16)
    array.ravel()[:300] = np.arange(1, 301)
    nodes[1] = phantom.volume(scene, "labels", array=array, className="vtkMRMLLabelMapVolumeNode")
    labels = read(nodes)
    assert labels.layers[0].dtype == np.int16
    assert np.array_equal(labels.layers[0], array)


def test_a_segmentation_cropped_to_its_segments_lands_on_the_atlas_grid(nodes, scene):
    grid = geometry((0.8, 1.1, 2.0), (20, -35, 10), flip=True, origin=(-50, 20, 90))
    nodes[0].SetIJKToRASMatrix(phantom.matrixOf(grid))
    cropped = grid.copy()
    cropped[:3, 3] = (grid @ [2, 5, 4, 1])[:3]
    part = phantom.volume(scene, "part", array=boxes(SHAPE)[4:13, 5:12, 2:20], ijkToRas=cropped)
    nodes[1] = phantom.segmentation(scene, "s", {"1": boxes(SHAPE)[4:13, 5:12, 2:20] == 1}, part)
    labels = read(nodes)
    assert np.array_equal(labels.layers[0], boxes(SHAPE) == 1)
    assert np.allclose(labels.voxelToLps, np.diag([-1, -1, 1, 1]) @ grid)


def test_a_segmentation_beyond_the_atlas_is_cut_there(nodes, scene):
    grid = geometry((1, 1, 1), origin=(-3, 0, 5))
    mask = np.ones((30, 24, 28), np.uint8)
    large = phantom.volume(scene, "large", array=mask, ijkToRas=grid)
    nodes[1] = phantom.segmentation(scene, "s", {"1": mask}, large)
    layer = read(nodes).layers[0]
    assert layer.shape == SHAPE
    assert layer[5:, :, :25].all() and not layer[:5].any() and not layer[:, :, 25:].any()


def test_a_segmentation_on_another_grid_keeps_it_for_the_engine_to_resample(nodes, scene):
    grid = geometry((2, 2, 2), (10, 0, 0))
    mask = np.zeros((10, 12, 14), np.uint8)
    mask[2:5, 3:6, 4:9] = 1
    coarse = phantom.volume(scene, "coarse", array=mask, ijkToRas=grid)
    nodes[1] = phantom.segmentation(scene, "s", {"1": mask}, coarse)
    labels = read(nodes)
    index = np.argwhere(labels.layers[0])[:, ::-1]
    centre = labels.voxelToLps @ np.append(index.mean(axis=0), 1)
    assert np.allclose(centre, np.diag([-1, -1, 1, 1]) @ grid @ [6, 4, 3, 1], atol=1e-6)
    assert len(index) == mask.sum()


def test_the_segmentations_own_parent_counts(nodes, scene):
    """The atlas is moved in the scene, its segmentation with it by another node of the same matrix."""
    matrix = phantom.randomLinear(np.random.default_rng(3))
    for node in nodes[:2]:
        node.SetAndObserveTransformNodeID(phantom.linear(scene, matrix).GetID())
    assert np.array_equal(read(nodes).layers[0], boxes(SHAPE))


def test_a_segmentation_with_surfaces_only_is_converted_in_a_copy(nodes):
    segmentation = nodes[1].GetSegmentation()
    nodes[1].CreateClosedSurfaceRepresentation()
    segmentation.SetSourceRepresentationName("Closed surface")
    segmentation.RemoveRepresentation(atlaslabels.BINARY_LABELMAP)
    # The surfaces are smoothed: the boxes lose their edges and may overlap where they touch.
    union = np.max(read(nodes).layers, axis=0)
    expected = boxes(SHAPE)
    overlap = (union == expected)[expected > 0].mean()
    assert overlap > 0.8
    assert not segmentation.ContainsRepresentation(atlaslabels.BINARY_LABELMAP)


def test_reading_is_done_in_short_steps(scene):
    array = np.random.default_rng(0).integers(0, 2000, (200, 256, 256)).astype(np.int16)
    atlas, target = (phantom.volume(scene, name, array=array) for name in ("a", "t"))
    labels = np.zeros(array.shape, np.uint8)
    labels[50:150, 50:200, 50:200] = 1
    node = phantom.volume(scene, "l", array=labels, className="vtkMRMLLabelMapVolumeNode")
    assert len(list(AtlasLabels(Inputs(atlas, node, target)).steps())) > 10
