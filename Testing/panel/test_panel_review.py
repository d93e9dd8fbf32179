"""Where to look first, overlays on the slices, correction in the Segment Editor, and what is kept of it."""

import gc
import json

import numpy as np
import phantom
import pytest
import qt
import slicer
import slicer.util
import vtk
from driver import Driver
from host.events import pump, screenshot
from host.views import SliceView
from RRLMedSAMLib import editing, overlays
from RRLMedSAMLib.deformationnodes import fieldOf
from RRLMedSAMLib.resultnodes import confidenceOf, readReport, targetOf, transformOf
from RRLMedSAMLib.review import isDoubtful, placeToCheck, reasonsText

SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    atlas = phantom.volume(scene, "atlas", SHAPE)
    labels = phantom.boxes(SHAPE)
    masks = {"liver": labels == 1, "lung": labels == 2, "empty": labels == 9}
    segmentation = phantom.segmentation(scene, "segments", masks, atlas, shared=True)
    place = phantom.geometry((1, 1.2, 1.5), (10, 20, 30), flip=True)
    return [atlas, segmentation, phantom.volume(scene, "target", (18, 26, 30), place, seed=1)]


@pytest.fixture
def user(openModule, nodes):
    """The user of a panel who has a result."""
    user = Driver(openModule())
    user.worker("good")
    user.choose(*nodes)
    user.click()
    return user


@pytest.fixture
def slices(mrml, scene):
    views = [SliceView(mrml, name, (90, 90)) for name in ("Red", "Yellow")]
    yield [view.logic.GetSliceCompositeNode() for view in views]
    for view in views:
        view.close()


@pytest.fixture
def editor(monkeypatch):
    """The modules that the user was brought to."""
    shown = []
    monkeypatch.setattr(slicer.util, "selectModule", shown.append)
    return shown


def result(user):
    return user.logic.getParameterNode().resultSegmentation


def mask(segmentation, name="lung"):
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, f"id-{name}", targetOf(segmentation)).astype(bool)


def draw(segmentation, values, name="lung"):
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        values.astype(np.uint8), segmentation, f"id-{name}", targetOf(segmentation)
    )


# ---------------------------------------------------------------- where to look first


def test_the_doubtful_come_first_with_the_reason_in_words(user):
    assert [row[:2] for row in user.table] == [("lung", "85 %"), ("liver", "95 %"), ("empty", "empty")]
    assert user.ui.reasonLabel.text == "To look at first: 0 of 3 structures."
    user.ui.nextPlaceButton.click()
    assert user.ui.reasonLabel.text == "lung: low agreement of the images, cut by the field of view."
    user.ui.nextPlaceButton.click()
    assert user.ui.reasonLabel.text == "liver: nothing speaks against it."


@pytest.mark.parametrize(
    ("structure", "isOne"),
    [
        ({"confidence": 69.9, "volume_ml": 1.0}, True),
        ({"confidence": 70.0, "volume_ml": 1.0}, False),
        ({"confidence": None, "volume_ml": 0.0, "reasons": ["not_found"]}, True),
        ({"confidence": None, "volume_ml": None}, False),
    ],
)
def test_which_structures_are_doubtful(structure, isOne):
    assert isDoubtful(structure) is isOne


def test_each_reason_has_words(user):
    keys = ["not_found", "cut_by_view", "unexpected_volume", "low_agreement", "large_deformation"]
    words = reasonsText({"reasons": keys}).split(", ")
    assert len(set(words)) == len(keys) and not any("_" in word for word in words)


def test_the_next_place_is_the_least_sure_one_in_the_world(user, scene, monkeypatch):
    segmentation = result(user)
    matrix = np.eye(4)
    matrix[:3, 3] = (5, -7, 11)
    parent = phantom.linear(scene, matrix)
    for node in (segmentation, targetOf(segmentation)):
        node.SetAndObserveTransformNodeID(parent.GetID())
    structure = {**readReport(segmentation)["structures"][0], "check_at_lps": [1.0, 2.0, 3.0]}
    assert np.allclose(placeToCheck(segmentation, structure), [-1 + 5, -2 - 7, 3 + 11])
    structure["check_at_lps"] = None
    centre = segmentation.GetSegmentCenterRAS(structure["segment"])
    assert np.allclose(placeToCheck(segmentation, structure), centre)


def test_the_slices_go_there_and_begin_anew_after_the_last(user, slices):
    seen = []
    for _ in range(4):
        user.ui.nextPlaceButton.click()
        row = user.ui.structuresTable.currentRow()
        red = slicer.util.getNode("Red")
        seen.append((row, round(red.GetSliceToRAS().GetElement(2, 3), 2)))
    assert [row for row, _place in seen] == [0, 1, 2, 0] and seen[3] == seen[0] and seen[0][1] != seen[1][1]


def test_the_arrow_keys_move_the_slices_as_a_click_does(user, slices):
    table = user.ui.structuresTable
    user.ui.nextPlaceButton.click()
    first = slicer.util.getNode("Red").GetSliceToRAS().GetElement(2, 3)
    for event in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
        qt.QApplication.sendEvent(table, qt.QKeyEvent(event, qt.Qt.Key_Down, qt.Qt.NoModifier))
    assert table.currentRow() == 1 and user.ui.reasonLabel.text.startswith("liver:")
    second = slicer.util.getNode("Red").GetSliceToRAS().GetElement(2, 3)
    assert second != first
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, 0, 0, first, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    user.panel.update()  # fills the table anew
    assert table.currentRow() == 1
    assert slicer.util.getNode("Red").GetSliceToRAS().GetElement(2, 3) == first


def test_the_next_place_is_selected_when_the_segment_editor_is_opened(user, editor):
    node = editing.editorNode()
    assert node.GetSegmentationNode() is None
    for segmentId in ("id-lung", "id-liver"):
        user.ui.nextPlaceButton.click()
        assert node.GetSegmentationNode() is result(user) and node.GetSelectedSegmentID() == segmentId
        assert node.GetSourceVolumeNode() is targetOf(result(user))
    assert editor == []  # nobody is brought to another module


# ---------------------------------------------------------------- overlays


def foreground(slices):
    """The volume that all slices show over the target."""
    (shown,) = {composite.GetForegroundVolumeID() for composite in slices}
    return slicer.mrmlScene.GetNodeByID(shown)


def test_a_legend_of_the_user_s_own_stays(user, slices):
    display = confidenceOf(result(user)).GetDisplayNode()
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display)
    legend.SetTitleText("mine")
    legend.SetVisibility(False)
    user.ui.confidenceOverlayButton.click()
    user.ui.backButton.click()
    assert slicer.mrmlScene.IsNodePresent(legend) and legend.GetSaveWithScene()
    assert not legend.GetVisibility() and legend.GetTitleText() == "mine"


def test_what_an_overlay_adds_is_hidden_when_the_scene_tells_of_it(user, slices):
    hidden = {}

    def onNodeAdded(_caller, _event, node):
        hidden[node.GetClassName()] = node.GetHideFromEditors()

    onNodeAdded.CallDataType = vtk.VTK_OBJECT
    tag = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, onNodeAdded)
    user.ui.atlasOverlayButton.click()
    user.ui.confidenceOverlayButton.click()
    slicer.mrmlScene.RemoveObserver(tag)
    assert hidden["vtkMRMLScalarVolumeNode"] and hidden["vtkMRMLColorTableNode"]


def test_the_confidence_is_laid_over_with_a_legend_and_taken_away(user, slices):
    before = [(c.GetBackgroundVolumeID(), c.GetForegroundVolumeID(), c.GetForegroundOpacity()) for c in slices]
    confidence = confidenceOf(result(user))
    ownColours = confidence.GetDisplayNode().GetColorNode()
    user.ui.confidenceOverlayButton.click()
    shown = foreground(slices)
    assert shown.GetImageData() is confidence.GetImageData()
    assert all(c.GetBackgroundVolumeID() == targetOf(result(user)).GetID() for c in slices)
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(shown)
    assert legend.GetVisibility() and legend.GetTitleText() == "Confidence, %"
    colours = shown.GetDisplayNode().GetColorNode()
    # What is saved meanwhile must not refer to what is not.
    assert confidence.GetDisplayNode().GetColorNode() is ownColours
    assert not any(node.GetSaveWithScene() for node in (shown, shown.GetDisplayNode(), colours, legend))
    assert colours.GetName() == overlays.COLOUR_NODE and colours.GetNumberOfColors() == 101
    assert user.ui.confidenceOverlayButton.checked and user.ui.backButton.enabled
    user.ui.backButton.click()
    after = [(c.GetBackgroundVolumeID(), c.GetForegroundVolumeID(), c.GetForegroundOpacity()) for c in slices]
    assert after == before
    assert not any(map(slicer.mrmlScene.IsNodePresent, (shown, colours, legend)))
    assert not user.ui.confidenceOverlayButton.checked and not user.ui.backButton.enabled


def test_the_confidences_colours_are_told_apart_by_lightness_alone(user, slices):
    """By every kind of colour vision, and in print: the surer the darker."""
    user.ui.confidenceOverlayButton.click()
    table = foreground(slices).GetDisplayNode().GetColorNode()
    colours = np.zeros((101, 4))
    for percent in range(101):
        table.GetColor(percent, colours[percent])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear[:, :3] @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)  # CIE L*, 0 to 100
    assert (np.diff(lightness) < -0.3).all()
    assert lightness[0] - lightness[50] > 20 and lightness[50] - lightness[100] > 20


def test_the_image_is_seen_through_the_confidence_and_not_covered_where_it_is_sure(user, mrml):
    target, confidence = targetOf(result(user)), confidenceOf(result(user))
    slicer.util.arrayFromVolume(target)[:] = 100
    slicer.util.arrayFromVolumeModified(target)
    slicer.util.arrayFromVolume(confidence)[:] = 99
    slicer.util.arrayFromVolumeModified(confidence)
    target.GetDisplayNode().AutoWindowLevelOff()
    target.GetDisplayNode().SetWindowLevelMinMax(0, 200)
    result(user).GetDisplayNode().SetVisibility(False)
    view = SliceView(mrml, "Red", (90, 90))
    bounds = np.zeros(6)
    target.GetRASBounds(bounds)
    view.show(target, bounds.reshape(3, 2).mean(1))

    def middle():
        return view.image()[45, 45].astype(int)

    plain = middle()
    user.ui.confidenceOverlayButton.click()
    assert np.array_equal(middle(), plain)
    slicer.util.arrayFromVolume(confidence)[:] = 40
    slicer.util.arrayFromVolumeModified(confidence)
    doubtful = middle()
    slicer.util.arrayFromVolume(target)[:] = 20
    slicer.util.arrayFromVolumeModified(target)
    assert (np.abs(doubtful - plain).max() > 40) and (middle() < doubtful - 10).all()
    view.close()


def test_doubt_is_told_by_a_sign_and_not_by_a_colour(user):
    segmentation = result(user)
    report = readReport(segmentation)
    report["structures"][0]["confidence"] = 42.0
    segmentation.SetAttribute("RRLMedSAM.report", json.dumps(report))
    user.panel.update()
    assert user.table[0][1] == "\u26a0 42 %" and "\u26a0" not in user.table[1][1]
    table = user.ui.structuresTable
    items = [table.item(row, column) for row in range(table.rowCount) for column in range(3)]
    assert all(each.background().style() == qt.Qt.NoBrush == each.foreground().style() for each in items)


def test_the_grid_is_shown_on_the_target(user, slices):
    """However far the atlas lies: the views draw how far the transform moves the target's own points."""
    transform = transformOf(result(user))
    far = vtk.vtkTransform()
    far.Translate(500, 0, 0)
    moved = vtk.vtkGeneralTransform()
    moved.PostMultiply()
    moved.Concatenate(fieldOf(transform))
    moved.Concatenate(far)
    transform.SetAndObserveTransformFromParent(moved)
    user.ui.deformationOverlayButton.click()
    grid = slicer.mrmlScene.GetFirstNodeByName("Deformation of the atlas")
    display = grid.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibility2D()
    assert display.GetVisualizationMode() == display.VIS_MODE_GRID
    assert grid.GetParentTransformNode() is targetOf(result(user)).GetParentTransformNode()
    bounds = np.zeros(6)
    targetOf(result(user)).GetRASBounds(bounds)
    centre = bounds.reshape(3, 2).mean(axis=1)
    shown = grid.GetTransformToParent().TransformPoint(centre)
    assert (
        np.linalg.norm(shown - centre)
        < 20
        < np.linalg.norm(transform.GetTransformToParent().TransformPoint(centre) - centre)
    )
    assert not grid.GetSaveWithScene() and not display.GetSaveWithScene()
    user.ui.deformationOverlayButton.click()  # a second click
    assert not slicer.mrmlScene.IsNodePresent(grid) and not slicer.mrmlScene.IsNodePresent(display)


def test_without_a_deformation_of_ours_there_is_no_grid(user, slices):
    transformOf(result(user)).SetAndObserveTransformFromParent(vtk.vtkTransform())
    user.panel.update()
    assert not user.ui.deformationOverlayButton.enabled and user.ui.atlasOverlayButton.enabled


def test_overlays_end_where_the_work_goes_on(user, slices, monkeypatch):
    """Else the atlas flickered in the Segment Editor, from which nothing leads back."""
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: None)
    for leave in (lambda: user.ui.editButton.click(), user.panel.exit):
        user.panel.enter()
        user.ui.atlasOverlayButton.click()
        assert user.panel.review.overlays.kind is not None
        leave()
        assert user.panel.review.overlays.kind is None
        assert not any(composite.GetForegroundVolumeID() for composite in slices)


def test_a_grid_that_the_user_had_shown_stays(user, slices):
    transform = transformOf(result(user))
    transform.CreateDefaultDisplayNodes()
    display = transform.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisualizationMode(display.VIS_MODE_CONTOUR)
    user.ui.deformationOverlayButton.click()
    user.ui.backButton.click()
    assert display.GetVisibility() and not display.GetVisibility2D()
    assert display.GetVisualizationMode() == display.VIS_MODE_CONTOUR and display.GetRegionNode() is None


def test_the_atlas_flickers_where_the_transform_brings_it(user, slices, nodes, scene):
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    user.ui.atlasOverlayButton.click()
    warped = scene.GetNodeByID(slices[0].GetForegroundVolumeID())
    assert warped.GetImageData() is nodes[0].GetImageData() and warped.GetHideFromEditors()
    assert warped.GetParentTransformNode() is transformOf(result(user)) and not warped.GetSaveWithScene()
    assert nodes[0].GetParentTransformNode() is None  # the atlas itself stays where it is
    user.wait(lambda: slices[0].GetForegroundOpacity() == 0.0)
    user.wait(lambda: slices[0].GetForegroundOpacity() == 1.0)
    # From one overlay to the next, and back to what was before the first.
    user.ui.confidenceOverlayButton.click()
    assert not scene.IsNodePresent(warped)
    user.ui.backButton.click()
    assert slices[0].GetForegroundVolumeID() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count


@pytest.mark.parametrize("kind", ["confidence", "deformation", "atlas"])
def test_back_brings_the_user_s_own_foreground_again(user, slices, scene, kind):
    own = phantom.volume(scene, "PET", (18, 26, 30))
    for each in slices:
        each.SetForegroundVolumeID(own.GetID())
        each.SetForegroundOpacity(0.4)
    getattr(user.ui, f"{kind}OverlayButton").click()
    user.ui.confidenceOverlayButton.click() if kind != "confidence" else None  # from one to the next
    user.ui.backButton.click()
    assert all((c.GetForegroundVolumeID(), c.GetForegroundOpacity()) == (own.GetID(), 0.4) for c in slices)


def test_nothing_of_an_overlay_is_saved_or_left_when_the_module_is_reloaded(user, slices, scene):
    def saved():
        return {n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLNode") if n.GetSaveWithScene()}

    before, all_before = saved(), scene.GetNumberOfNodes()
    for button in (user.ui.confidenceOverlayButton, user.ui.atlasOverlayButton):
        button.click()
        assert saved() == before
    user.panel.cleanup()
    assert scene.GetNumberOfNodes() == all_before and slices[0].GetForegroundVolumeID() is None


def test_what_is_no_longer_in_the_scene_cannot_be_shown(user, nodes, scene):
    scene.RemoveNode(nodes[0])
    assert not user.ui.atlasOverlayButton.enabled and user.ui.deformationOverlayButton.enabled
    scene.RemoveNode(transformOf(result(user)))
    scene.RemoveNode(confidenceOf(result(user)))
    assert not user.ui.deformationOverlayButton.enabled and not user.ui.confidenceOverlayButton.enabled


def test_a_closed_scene_takes_the_overlay_with_it(user, slices, scene):
    user.ui.atlasOverlayButton.click()
    scene.Clear(False)
    pump()
    assert user.panel.review.overlays.kind is None


# ---------------------------------------------------------------- correction


def test_edit_opens_the_editor_with_all_chosen(user, editor):
    user.ui.nextPlaceButton.click()
    user.ui.editButton.click()
    node = editing.editorNode()
    assert editor == ["SegmentEditor"]
    assert node.GetSegmentationNode() is result(user) and node.GetSourceVolumeNode() is targetOf(result(user))
    assert node.GetSelectedSegmentID() == "id-lung"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 1


def test_a_corrected_segment_is_recognised_by_its_voxels_and_by_its_status(user):
    segmentation = result(user)
    assert editing.editedSegments(segmentation) == []
    moved = np.roll(mask(segmentation), 1, axis=2)  # as many voxels as before
    draw(segmentation, moved)
    assert editing.editedSegments(segmentation) == ["id-lung"]
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(segmentation.GetSegmentation().GetSegment("id-liver"), logic.Completed)
    assert set(editing.editedSegments(segmentation)) == {"id-lung", "id-liver"}


def test_a_segment_that_was_drawn_and_drawn_back_is_none(user):
    segmentation = result(user)
    first = mask(segmentation)
    draw(segmentation, np.roll(first, 2, axis=1))
    draw(segmentation, first)
    assert editing.editedSegments(segmentation) == []


def test_a_run_again_makes_a_new_result_and_keeps_corrections_on_request(user):
    first = result(user)
    corrected = mask(first)
    corrected[2:5, 3:6, 3:9] = True  # onto the liver, and where nothing was
    draw(first, corrected)
    assert not user.isShown("copyEditsButton")
    user.click()
    second = result(user)
    assert (
        second is not first and np.array_equal(mask(first), corrected) and not np.array_equal(mask(second), corrected)
    )
    assert user.isShown("copyEditsButton") and user.ui.copyEditsButton.text == "Kee&p 1 corrected segments"
    liver = mask(second, "liver")
    second.CreateClosedSurfaceRepresentation()
    user.ui.copyEditsButton.click()
    assert second.GetSegmentation().ContainsRepresentation(editing.CLOSED_SURFACE)  # it stays in the 3D view
    assert np.array_equal(mask(second), corrected) and user.status == "Kept as corrected: lung."
    assert np.array_equal(mask(second, "liver"), liver & ~corrected)
    ids = list(second.GetSegmentation().GetSegmentIDs())
    assert ids == list(first.GetSegmentation().GetSegmentIDs()) and not user.isShown("copyEditsButton")
    assert editing.editedSegments(second)[-1:] == ["id-lung"]


def test_what_is_corrected_later_in_an_earlier_result_can_be_kept_too(user):
    first = result(user)
    user.click()
    second = result(user)
    assert not user.isShown("copyEditsButton")
    corrected = np.roll(mask(first), 2, axis=2)
    draw(first, corrected)
    user.loaded.exit()  # to the Segment Editor, say
    user.loaded.enter()
    assert user.isShown("copyEditsButton")
    user.ui.copyEditsButton.click()
    assert np.array_equal(mask(second), corrected) and not user.isShown("copyEditsButton")
    user.panel.update()
    assert not user.isShown("copyEditsButton")  # not offered again
    draw(first, np.roll(corrected, 1, axis=1))
    user.panel.update()
    assert user.isShown("copyEditsButton")


def test_a_newer_correction_is_not_offered_to_be_replaced(user):
    first = result(user)
    draw(first, np.roll(mask(first), 2, axis=2))
    user.click()
    second = result(user)
    newer = np.roll(mask(second), 1, axis=1)
    draw(second, newer)
    user.panel.update()
    assert not user.isShown("copyEditsButton")
    draw(first, np.roll(mask(first, "liver"), 1, axis=2), "liver")  # corrected in the first one alone
    user.panel.update()
    assert user.isShown("copyEditsButton")


def test_an_earlier_result_can_be_shown_again(user, nodes, scene, slices):
    first, target = result(user), nodes[2]
    other = phantom.volume(scene, "another target", (18, 26, 30), seed=2)
    user.ui.targetSelector.setCurrentNode(other)
    user.click()
    second, selector = result(user), user.ui.resultSelector
    assert second is not first and selector.currentNode() is second
    offered = [selector.nodeFromIndex(n) for n in range(selector.nodeCount())]
    assert offered == [first, second]  # not the atlas's segments
    selector.setCurrentNode(first)
    assert result(user) is first and user.nodeNames[0] == first.GetName()
    assert all(each.GetBackgroundVolumeID() == target.GetID() for each in slices)
    selector.setCurrentNode(None)
    assert user.isShown("resultsCollapsibleButton") and user.table == [] and user.nodeNames == []
    assert user.ui.reasonLabel.text == "Choose a result above." and not user.isShown("warningsLabel")
    buttons = ("nextPlaceButton", "editButton", "refineButton", "confidenceOverlayButton", "exampleButton")
    assert not any(getattr(user.ui, name).enabled for name in buttons)
    selector.setCurrentNode(second)
    assert [row[0] for row in user.table] == ["lung", "liver", "empty"] and user.ui.nextPlaceButton.enabled


def test_one_result_is_drawn_at_a_time(user, nodes):
    """All have the atlas's colours."""
    first, atlas = result(user), nodes[1]
    assert first.GetDisplayVisibility() and not atlas.GetDisplayVisibility()
    user.click()
    second = result(user)
    assert second.GetDisplayVisibility() and not first.GetDisplayVisibility()
    user.ui.resultSelector.setCurrentNode(first)
    assert first.GetDisplayVisibility() and not second.GetDisplayVisibility()


def test_the_views_stay_while_the_user_works_in_another_module(user, nodes, slices):
    shown = result(user)
    user.loaded.exit()
    for composite in slices:
        composite.SetBackgroundVolumeID(nodes[0].GetID())
    nodes[1].SetDisplayVisibility(True)
    user.panel.showResult(shown)  # a run has ended
    user.loaded.enter()  # the selector is set, which no user did
    assert all(composite.GetBackgroundVolumeID() == nodes[0].GetID() for composite in slices)
    assert nodes[1].GetDisplayVisibility() and result(user) is shown


def test_a_closed_scene_is_given_back_while_another_module_is_shown(user, scene):
    """Volumes take gigabytes, and Python's names keep them."""
    phantom.volume(scene, "scan", (18, 26, 30), seed=2)
    user.panel.update()
    held = []
    for node in (scene.GetFirstNodeByName("scan"), result(user)):
        held.append(vtk.vtkWeakReference())
        held[-1].Set(node)
    del node
    user.loaded.exit()
    scene.Clear(False)
    gc.collect()
    assert [reference.Get() for reference in held] == [None, None]


def test_a_corrected_case_becomes_the_atlas(user, nodes):
    segmentation = result(user)
    user.ui.useAsAtlasButton.click()
    parameters = user.logic.getParameterNode()
    assert parameters.atlasVolume is nodes[2] and parameters.atlasSegmentation is segmentation
    assert parameters.target is None and not user.ui.applyButton.enabled
    user.ui.targetSelector.setCurrentNode(nodes[0])
    user.click()
    assert user.status.startswith("Finished")


def test_the_section_fits_a_narrow_panel(user, tmp_path):
    user.ui.inputsCollapsibleButton.collapsed = True
    user.ui.nextPlaceButton.click()
    pump()
    screenshot(user.window, tmp_path / "review.png")
    for name in ("editButton", "backButton", "useAsAtlasButton"):
        widget = getattr(user.ui, name)
        assert widget.width > 30 and widget.x + widget.width <= 300
