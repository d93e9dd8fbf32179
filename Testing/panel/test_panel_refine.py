"""The last stages once more around corrected segments: what reaches the worker, and what comes back into the scene."""

import numpy as np
import phantom
import pytest
import slicer
import slicer.util
import vtk
from driver import Driver
from host.events import pump
from RRLMedSAMLib import editing
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.resultnodes import companions, confidenceOf, readReport, targetOf, transformOf

SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    """Atlas, segments and target, each oblique and under a transform of its own."""
    place = phantom.geometry((1.1, 0.9, 1.3), (12, -6, 17), flip=True, origin=(4, -3, 2))
    atlas = phantom.volume(scene, "atlas", SHAPE, place)
    labels = phantom.boxes(SHAPE)
    masks = {"liver": labels == 1, "lung": labels == 2, "empty": labels == 9}
    segments = phantom.segmentation(scene, "segments", masks, atlas, shared=True)
    turned = phantom.geometry((1, 1.2, 1.5), (10, 20, 30))
    target = phantom.volume(scene, "target", (18, 26, 30), turned, seed=1)
    for number, node in enumerate((atlas, segments, target)):
        matrix = np.eye(4)
        matrix[:3, 3] = (3.0, -2.0 * number, 7.0)
        node.SetAndObserveTransformNodeID(phantom.linear(scene, matrix).GetID())
    segments.SetAndObserveTransformNodeID(atlas.GetTransformNodeID())
    return [atlas, segments, target]


@pytest.fixture
def user(openModule, nodes):
    """The user of a panel who has a result."""
    user = Driver(openModule())
    user.worker("good")
    user.choose(*nodes)
    user.click()
    return user


def result(user):
    return user.logic.getParameterNode().resultSegmentation


def mask(segmentation, name):
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, f"id-{name}", targetOf(segmentation)).astype(bool)


def correct(segmentation, name="lung", first=2):
    """Draws a box more of the structure onto whatever is there; returns where it is then."""
    drawn = mask(segmentation, name)
    drawn[first : first + 4, 3:9, 3:9] = True
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        drawn.astype(np.uint8), segmentation, f"id-{name}", targetOf(segmentation)
    )
    return drawn


def refine(user):
    user.ui.refineButton.click()
    user.wait(lambda: not user.logic.isBusy)
    return result(user)


def test_corrected_segments_are_kept_and_the_others_follow(user, scene):
    first = result(user)
    before = {name: mask(first, name) for name in ("liver", "lung")}
    drawn = correct(first)
    refined = refine(user)
    assert user.status.startswith("Finished") and refined is not first
    assert np.array_equal(mask(refined, "lung"), drawn) and np.array_equal(mask(first, "lung"), drawn)
    free = np.where(drawn, False, before["liver"])
    assert np.array_equal(mask(refined, "liver"), np.roll(free, 1, axis=2) & ~drawn)
    assert refined.GetName() == "target refined segmentation"
    assert confidenceOf(refined) is not confidenceOf(first)
    assert slicer.util.arrayFromVolume(confidenceOf(refined)).min() == 90
    assert transformOf(refined) is transformOf(first) and len(companions(refined)) == 3
    assert refined.GetTransformNodeID() == targetOf(first).GetTransformNodeID()
    assert readReport(refined)["structures"][1]["reasons"] == ["corrected"]
    assert ("lung", "100 %") in [row[:2] for row in user.table]


def test_the_deformation_reaches_the_worker_as_the_run_made_it(user):
    correct(result(user))
    field, grid, affine = readReport(refine(user))["errors"]
    assert field < 1e-5 and grid < 1e-6 and affine < 1e-9


def test_an_atlas_moved_since_is_still_met_at_the_same_voxels(user, nodes):
    first = result(user)
    correct(first)
    before = readReport(refine(user))["target_to_atlas_voxels"]
    for node in nodes[:2]:
        node.SetAndObserveTransformNodeID(None)
    user.logic.getParameterNode().resultSegmentation = first
    after = readReport(refine(user))["target_to_atlas_voxels"]
    assert np.allclose(before, after, atol=1e-9)


def test_a_saved_scene_is_refined(user, scene, tmp_path):
    """MRML turns the voxels of a left-handed volume, as the atlas is here, when it reads them."""
    drawn = correct(result(user))
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    scene.Clear(False)
    assert scene.ReadFromMRB(path, False, None)
    pump()
    refined = refine(user)
    assert np.array_equal(mask(refined, "lung"), drawn)
    assert max(readReport(refined)["errors"]) < 1e-4


def test_a_refined_result_counts_as_corrected_and_is_refined_again(user):
    first = result(user)
    drawn = correct(first)
    second = refine(user)
    assert editing.editedSegments(second) == ["id-lung"] and not user.isShown("copyEditsButton")
    how = vtk.reference("")
    assert second.GetSegmentation().GetSegment("id-lung").GetTag("DICOM.SegmentAlgorithmType", how)
    assert how.get() == "SEMIAUTOMATIC"
    liver = correct(second, "liver", first=12)
    third = refine(user)
    assert np.array_equal(mask(third, "liver"), liver) and np.array_equal(mask(third, "lung"), drawn)
    assert not user.isShown("copyEditsButton")


def test_names_colours_additions_and_removals_by_hand_stay(user):
    first = result(user)
    segments = first.GetSegmentation()
    segments.GetSegment("id-liver").SetName("Leber")
    segments.GetSegment("id-liver").SetColor(0.1, 0.2, 0.3)
    segments.RemoveSegment("id-empty")
    tumour = segments.AddEmptySegment("tumour", "tumour")
    where = np.zeros((18, 26, 30), np.uint8)
    where[8:10, 10:13, 10:13] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(where, first, tumour, targetOf(first))
    correct(first)
    refined = refine(user)
    after = refined.GetSegmentation()
    assert list(after.GetSegmentIDs()) == ["id-liver", "id-lung", "tumour"]
    assert after.GetSegment("id-liver").GetName() == "Leber"
    assert after.GetSegment("id-liver").GetColor() == pytest.approx((0.1, 0.2, 0.3))
    found = slicer.util.arrayFromSegmentBinaryLabelmap(refined, "tumour", targetOf(refined))
    assert np.array_equal(found, where)


def test_a_corrected_segment_that_the_atlas_no_longer_has_stays(user, nodes):
    drawn = correct(result(user))
    nodes[1].GetSegmentation().RemoveSegment("id-lung")
    assert np.array_equal(mask(refine(user), "lung"), drawn)


def test_without_a_correction_it_says_what_to_do(user, scene):
    count = scene.GetNumberOfNodes()
    user.ui.refineButton.click()
    assert user.status.startswith("No segment of this result was corrected yet. Click Edit")
    assert scene.GetNumberOfNodes() == count and not user.logic.isBusy


@pytest.mark.parametrize("gone", ["atlas", "transform", "confidence"])
def test_without_what_it_was_made_from_it_says_so(user, nodes, scene, gone):
    segmentation = result(user)
    correct(segmentation)
    scene.RemoveNode(
        {"atlas": nodes[0], "transform": transformOf(segmentation), "confidence": confidenceOf(segmentation)}[gone]
    )
    user.ui.refineButton.click()
    assert "no longer in the scene" in user.status and not user.logic.isBusy


def test_a_changed_transform_is_refused(user, scene):
    segmentation = result(user)
    correct(segmentation)
    transformOf(segmentation).SetAndObserveTransformFromParent(None)
    transformOf(segmentation).SetMatrixTransformFromParent(slicer.util.vtkMatrixFromArray(np.eye(4)))
    count = scene.GetNumberOfNodes()
    assert refine(user) is segmentation
    assert "was changed since its run" in user.status and scene.GetNumberOfNodes() == count


def test_a_segmentation_deleted_meanwhile_ends_it(user, scene):
    segmentation = result(user)
    correct(segmentation)
    run = user.logic.refine(segmentation)
    scene.RemoveNode(segmentation)
    with pytest.raises(RunError, match="deleted"):
        user.logic.wait(run)
        raise run.error


def test_it_is_cancelled_and_leaves_nothing(user, scene):
    correct(result(user))
    user.worker("politely")
    count = scene.GetNumberOfNodes()
    user.ui.refineButton.click()
    user.wait(lambda: user.logic._run is not None and user.logic._run.state == "running")
    user.ui.cancelButton.click()
    user.wait(lambda: not user.logic.isBusy)
    assert user.status == "Cancelled." and scene.GetNumberOfNodes() == count
