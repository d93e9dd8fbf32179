"""The panel in the host: nodes chosen, buttons clicked, what the user sees then."""

import time
import types

import numpy as np
import phantom
import pytest
import qt
import slicer
import slicer.util
from driver import fakeCommand
from host.events import Heartbeat, pump
from phantom import boxes
from RRLMedSAMLib import logic, resultnodes
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.parameters import Device, Effort
from RRLMedSAMLib.workerprocess import WorkerProcess

SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    atlas = phantom.volume(scene, "atlas", SHAPE)
    labels = boxes(SHAPE)
    masks = {"left": labels == 1, "right": labels == 2, "nothing": labels == 9}
    segmentation = phantom.segmentation(scene, "atlas segmentation", masks, atlas)
    return [atlas, segmentation, phantom.volume(scene, "target", (18, 26, 30), seed=1)]


@pytest.fixture
def confirm(monkeypatch):
    """The questions asked; ``confirm.answer`` is the user's to all."""
    asked = types.SimpleNamespace(questions=[], answer=True)

    def display(text, *_arguments, **_options):
        asked.questions.append(text)
        return asked.answer

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", display)
    return asked


# ---------------------------------------------------------------- choosing


def test_the_disabled_button_says_what_is_missing(driver, nodes):
    button = driver.ui.applyButton
    assert not button.enabled
    assert button.toolTip == "Choose: atlas volume, atlas segmentation, target volume."
    driver.choose(nodes[0], nodes[1])
    assert not button.enabled and button.toolTip == "Choose: target volume."
    driver.choose(nodes[0], nodes[1], nodes[0])
    assert not button.enabled and "same node" in button.toolTip
    driver.choose(*nodes)
    assert button.enabled and "Transfers" in button.toolTip


def test_only_nodes_that_can_be_used_are_offered(driver, nodes, scene):
    labels = phantom.volume(scene, "labels", array=boxes(SHAPE), className="vtkMRMLLabelMapVolumeNode")
    driver.choose(labels, labels, labels)
    inputs = driver.panel._inputs()
    assert inputs == {"atlasVolume": None, "atlasSegmentation": labels, "target": None}


def test_choices_live_in_the_parameter_node(driver, nodes):
    driver.choose(*nodes)
    driver.ui.effortComboBox.setCurrentIndex(2)
    driver.ui.deviceComboBox.setCurrentIndex(1)
    parameters = driver.logic.getParameterNode()
    assert [parameters.atlasVolume, parameters.atlasSegmentation, parameters.target] == nodes
    assert (parameters.effort, parameters.device) == (Effort.BEST, Device.CPU)
    assert "2.5 min" in driver.ui.effortHintLabel.text
    parameters.effort = Effort.FAST
    assert driver.ui.effortComboBox.currentText == "Fast" and "20 s" in driver.ui.effortHintLabel.text


def test_nothing_is_left_over_at_first(driver):
    for name in ("progressBar", "cancelButton", "resultsCollapsibleButton"):
        assert not driver.isShown(name)
    assert not driver.logic.worker.isRunning  # nothing starts before the first click


def test_the_panel_fits_into_320_pixels(driver, nodes, scene):
    name = "A_target_volume_with_a_name_without_a_single_space_that_is_much_too_long"
    nodes[2] = phantom.volume(scene, name, (18, 26, 30))
    driver.choose(*nodes)
    driver.click()
    assert driver.nodeNames[0] == f"{name} segmentation"
    driver.window.resize(320, 600)
    pump()
    assert driver.window.width == 320
    # Too low for everything: the table gives way, nothing covers anything.
    shown = ("structuresTable", "nodesList", "resultLabel")
    boxes_ = [getattr(driver.ui, widget).geometry for widget in shown]
    assert all(above.bottom() < below.top() for above, below in zip(boxes_, boxes_[1:]))


def test_the_section_adapt_fits_into_320_pixels(driver, nodes, tmp_path):
    driver.worker("trainer", tmp_path)
    driver.choose(*nodes)
    driver.ui.adaptCollapsibleButton.collapsed = False
    driver.panel.adapting._items[0][0].setCheckState(qt.Qt.Checked)
    longName = tmp_path / ("a_folder_with_a_long_name_" * 6) / "mine.rrl"
    longName.parent.mkdir()
    driver.ui.adaptOutputEdit.setText(str(longName))
    pump()
    driver.ui.adaptButton.click()
    driver.wait(lambda: driver.isShown("adaptPreviewLabel"))
    driver.window.resize(320, 1600)
    pump()
    assert driver.window.width == 320
    right = driver.ui.adaptCollapsibleButton.width
    names = [name for name in vars(driver.ui) if name.startswith("adapt") and hasattr(getattr(driver.ui, name), "x")]
    shown = [getattr(driver.ui, name) for name in names if getattr(driver.ui, name).isVisible()]
    assert len(shown) > 12 and driver.ui.adaptCurveLabel in shown
    for widget in shown:
        assert 0 <= widget.x and widget.x + widget.width <= right <= 320, widget.objectName
        assert widget.width >= 20, widget.objectName
    button = driver.ui.adaptButton
    assert button.fontMetrics().horizontalAdvance(button.text) < button.width
    assert driver.ui.adaptPreviewLabel.pixmap.width() <= driver.ui.adaptPreviewLabel.width


# ---------------------------------------------------------------- running


def test_a_click_brings_results(driver, nodes, scene):
    slice_ = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    driver.choose(*nodes)
    driver.click()
    assert driver.status.startswith("Finished in")
    result = driver.logic.getParameterNode().resultSegmentation
    assert result.GetName() == "target segmentation"
    # The least sure first, the one that is empty in the atlas last.
    assert driver.table == [("right", "85 %", "3.00 ml"), ("left", "95 %", "1.50 ml"), ("nothing", "empty", "")]
    suffixes = ("segmentation", "atlas to target", "target to atlas", "confidence")
    assert driver.nodeNames == [f"target {suffix}" for suffix in suffixes]
    assert driver.ui.resultLabel.text.splitlines() == [
        "1 s on CPU",
        "Model: Instant (no training)",
        "Folded voxels: 0.00 %",
        "Inverse consistency: 0.01 mm",
    ]
    assert driver.isShown("resultsCollapsibleButton") and not driver.isShown("progressBar")
    assert driver.ui.applyButton.enabled
    assert slice_.GetBackgroundVolumeID() == nodes[2].GetID()


def test_a_running_panel_shows_stage_time_and_cancel(driver, nodes):
    driver.worker("good", 0.5)
    driver.choose(*nodes)
    driver.click(until=lambda: driver.panel._run.stage == "align")
    assert driver.status == "Aligning the atlas, about 2 s left"
    assert 30 <= driver.ui.progressBar.value <= 40
    assert driver.isShown("progressBar") and driver.isShown("cancelButton")
    assert not driver.ui.applyButton.enabled and driver.ui.applyButton.toolTip == "A run is going on."
    driver.wait(lambda: not driver.logic.isBusy)
    assert "Warning: This is a warning." in driver.log
    assert "Deforming the atlas" in driver.log


def test_the_application_stays_alive_during_a_run(driver, scene):
    array = np.random.default_rng(0).integers(0, 2000, (160, 180, 160)).astype(np.int16)
    atlas, target = (phantom.volume(scene, name, array=array) for name in ("a", "t"))
    labels = phantom.volume(scene, "l", array=(array // 100).astype(np.uint8), className="vtkMRMLLabelMapVolumeNode")
    driver.choose(atlas, labels, target)
    with Heartbeat() as beat:
        driver.click()
    assert driver.status.startswith("Finished")
    assert beat.longestGap < 0.1 * 3  # three times the limit: the tests' machine is shared


def test_the_settings_reach_the_worker(driver, nodes):
    driver.choose(*nodes)
    driver.ui.effortComboBox.setCurrentIndex(0)
    driver.ui.deviceComboBox.setCurrentIndex(1)
    driver.click()
    settings = resultnodes.readReport(driver.logic.getParameterNode().resultSegmentation)["settings"]
    assert (settings["effort"], settings["device"]) == ("fast", "cpu")


@pytest.mark.parametrize("behaviour", ["politely", "deaf"])
def test_cancel_stops_within_two_seconds_and_the_next_click_works(driver, nodes, behaviour):
    driver.worker(behaviour)
    driver.choose(*nodes)
    driver.click(until=lambda: driver.panel._run.stage == "deform" or driver.panel._run.warnings)
    start = time.monotonic()
    driver.ui.cancelButton.click()
    assert not driver.ui.cancelButton.enabled
    driver.wait(lambda: not driver.logic.isBusy)
    assert time.monotonic() - start < 2
    assert driver.status == "Cancelled."
    assert driver.ui.applyButton.enabled and not driver.isShown("cancelButton")
    driver.worker("good")
    driver.click()
    assert driver.status.startswith("Finished")


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [("dying", "lack of memory"), ("garbage", "not understood"), ("mute", "could not be started (exit code 3)")],
)
def test_a_failure_is_said_in_a_sentence_and_the_next_click_works(driver, nodes, behaviour, text):
    driver.worker(behaviour)
    driver.choose(*nodes)
    driver.click()
    assert text in driver.status
    assert driver.status in driver.log
    assert not driver.isShown("resultsCollapsibleButton")
    driver.worker("good")
    driver.click()
    assert driver.status.startswith("Finished")


def test_the_workers_own_words_are_in_the_log(driver, nodes):
    driver.worker("dying")
    driver.choose(*nodes)
    driver.click()
    assert "the last words" in driver.log


def test_unusable_nodes_are_explained_on_the_click(driver, nodes, scene):
    nodes[1] = phantom.segmentation(scene, "none", {}, nodes[0])
    driver.choose(*nodes)
    driver.click()
    assert "no segments" in driver.status
    assert driver.ui.applyButton.enabled


def test_a_bending_transform_is_offered_hardened(driver, nodes, scene, confirm):
    bend = phantom.bending(scene)
    nodes[2].SetAndObserveTransformNodeID(bend.GetID())
    driver.choose(*nodes)
    confirm.answer = False
    driver.click()
    assert "not linear" in driver.status
    confirm.answer = True
    driver.click()
    assert driver.status.startswith("Finished")
    target = driver.logic.getParameterNode().target
    assert target.GetName() == "target hardened" and target is not nodes[2]
    assert nodes[2].GetParentTransformNode() is bend
    assert len(confirm.questions) == 2


def test_a_structure_clicked_moves_the_slices_there(driver, nodes, scene):
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetName("Red")
    node.SetLayoutName("Red")
    driver.choose(*nodes)
    driver.click()
    result = driver.logic.getParameterNode().resultSegmentation
    driver.ui.structuresTable.cellClicked.emit(1, 0)
    centre = result.GetSegmentCenterRAS("id-left")
    found = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert found == pytest.approx(centre)
    driver.ui.structuresTable.cellClicked.emit(2, 0)  # the empty one has no place


# ---------------------------------------------------------------- PyTorch


@pytest.fixture
def withoutTorch(driver, nodes, monkeypatch):
    monkeypatch.setattr(slicer.app, "_isTesting", False)
    driver.worker("notorch")
    driver.choose(*nodes)
    return driver


def test_without_torch_the_user_is_asked_and_told(withoutTorch, confirm):
    confirm.answer = False
    withoutTorch.click()
    assert "download" in confirm.questions[0] and len(confirm.questions) == 1
    assert "computation needs is missing" in withoutTorch.status
    assert "PyTorch is needed" in withoutTorch.ui.setupStatusLabel.text
    assert withoutTorch.ui.applyButton.enabled


def test_the_modules_own_test_fails_where_it_cannot_run(driver, monkeypatch):
    monkeypatch.setattr(logic, "WorkerProcess", lambda: WorkerProcess(fakeCommand("notorch")))
    with pytest.raises(RunError, match="PyTorch is not installed"):
        driver.loaded.source.RRLMedSAMTest().runTest()


# ---------------------------------------------------------------- scene events


def test_closing_the_scene_empties_the_panel(driver, nodes, scene):
    driver.choose(*nodes)
    driver.click()
    scene.Clear(False)
    pump()
    assert not driver.ui.applyButton.enabled
    assert not driver.isShown("resultsCollapsibleButton")
    assert driver.logic.getParameterNode().target is None


def test_closing_the_scene_during_a_run_stops_it(driver, nodes, scene):
    driver.worker("politely")
    driver.choose(*nodes)
    driver.click(until=lambda: driver.panel._run.stage == "deform")
    scene.Clear(False)
    driver.wait(lambda: not driver.logic.isBusy)
    assert "no longer in the scene" in driver.status
    assert not driver.isShown("progressBar")
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_deleting_an_input_during_a_run_stops_it(driver, nodes, scene):
    driver.worker("politely")
    driver.choose(*nodes)
    driver.click(until=lambda: driver.panel._run.stage == "deform")
    scene.RemoveNode(nodes[2])
    driver.wait(lambda: not driver.logic.isBusy)
    assert "target volume is no longer in the scene" in driver.status
    assert not driver.ui.applyButton.enabled


def test_deleting_the_result_hides_it(driver, nodes, scene):
    driver.choose(*nodes)
    driver.click()
    scene.RemoveNode(driver.logic.getParameterNode().resultSegmentation)
    assert not driver.isShown("resultsCollapsibleButton")
    assert driver.ui.applyButton.enabled


def test_a_saved_scene_brings_choices_and_results_back(driver, nodes, scene, tmp_path):
    driver.choose(*nodes)
    driver.ui.effortComboBox.setCurrentIndex(2)
    driver.click()
    before = driver.table
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    scene.Clear(False)
    assert not driver.isShown("resultsCollapsibleButton")
    assert scene.ReadFromMRB(path, False, None)
    pump()
    assert driver.ui.targetSelector.currentNode().GetName() == "target"
    assert driver.ui.effortComboBox.currentText == "Best"
    assert driver.table == before
    assert driver.ui.applyButton.enabled


def test_a_run_goes_on_while_another_module_is_shown(driver, nodes):
    driver.worker("good", 0.3)
    driver.choose(*nodes)
    driver.click(until=lambda: driver.panel._run.stage == "align")
    driver.loaded.exit()
    driver.wait(lambda: not driver.logic.isBusy)
    driver.loaded.enter()
    assert driver.table


def test_the_module_reopened_after_a_scene_was_closed_behind_it(driver, nodes, scene):
    driver.choose(*nodes)
    driver.loaded.exit()
    scene.Clear(False)
    driver.loaded.enter()
    assert not driver.ui.applyButton.enabled


def test_the_end_of_the_application_ends_the_worker(driver, nodes):
    driver.worker("deaf")
    driver.choose(*nodes)
    driver.click(until=lambda: driver.panel._run.warnings)
    driver.widget.cleanup()
    assert not driver.logic.worker.isRunning
