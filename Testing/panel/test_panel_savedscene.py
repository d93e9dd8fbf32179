"""A scene saved after a run and opened again: what was chosen, what was found, and what belongs to what."""

import numpy as np
import phantom
import pytest
import slicer
import slicer.util
from host.events import pump
from RRLMedSAMLib.resultnodes import companions, readReport

SHAPE = (20, 24, 28)
TERMINOLOGY = "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~^^~^^~^^"
SUFFIXES = ("segmentation", "atlas to target", "target to atlas", "confidence")


@pytest.fixture
def ready(driver, scene):
    """A user who chose everything, an atlas under transforms too, and has the result."""
    atlas = phantom.volume(scene, "atlas", SHAPE)
    labels = phantom.boxes(SHAPE)
    segments = phantom.segmentation(scene, "segments", {"liver": labels == 1, "lung": labels == 2}, atlas)
    segments.GetSegmentation().GetSegment("id-liver").SetTerminology(TERMINOLOGY)
    target = phantom.volume(scene, "target", (18, 26, 30), seed=1)
    matrix = np.eye(4)
    matrix[:3, 3] = (3.0, -2.0, 7.0)
    for node in (atlas, segments):
        node.SetAndObserveTransformNodeID(phantom.linear(scene, matrix).GetID())
    driver.choose(atlas, segments, target)
    driver.ui.effortComboBox.setCurrentIndex(0)
    driver.ui.deviceComboBox.setCurrentIndex(1)
    driver.ui.modelComboBox.setCurrentIndex(1)
    driver.ui.adaptMinutesSpinBox.setValue(7)
    driver.click()
    return driver


def reopen(driver, scene, folder):
    path = str(folder / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    scene.Clear(False)
    assert driver.logic.getParameterNode().target is None
    assert scene.ReadFromMRB(path, False, None)
    pump()
    return driver.logic.getParameterNode()


def test_the_choices_are_back_in_the_parameter_node_and_in_the_panel(ready, scene, tmp_path):
    parameters = reopen(ready, scene, tmp_path)
    chosen = (parameters.atlasVolume, parameters.atlasSegmentation, parameters.target)
    assert [node.GetName() for node in chosen] == ["atlas", "segments", "target"]
    assert (parameters.effort.value, parameters.device.value, parameters.model) == ("fast", "cpu", "instant")
    assert parameters.adaptMinutes == 7
    ui = ready.ui
    assert [box.currentNode() for box in (ui.atlasVolumeSelector, ui.atlasSegmentationSelector)] == list(chosen[:2])
    assert (ui.effortComboBox.currentText, ui.deviceComboBox.currentText) == ("Fast", "CPU")
    assert ui.modelComboBox.currentText == "Instant (no training)" and ui.adaptMinutesSpinBox.value == 7
    assert slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")[0].GetAttribute("ModuleName") == "RRLMedSAM"
    assert scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 1


def test_the_result_is_shown_as_before(ready, scene, tmp_path):
    before = ready.table, ready.nodeNames, ready.ui.resultLabel.text
    result = reopen(ready, scene, tmp_path).resultSegmentation
    assert (ready.table, ready.nodeNames, ready.ui.resultLabel.text) == before
    assert result.GetSegmentation().GetSegment("id-liver").GetTerminology() == TERMINOLOGY
    assert readReport(result)["settings"]["effort"] == "fast"


def test_the_results_know_their_inputs_and_each_other(ready, scene, tmp_path):
    parameters = reopen(ready, scene, tmp_path)
    result, atlas, target = parameters.resultSegmentation, parameters.atlasVolume, parameters.target
    nodes = [result, *companions(result)]
    assert [node.GetName() for node in nodes] == [f"target {suffix}" for suffix in SUFFIXES]
    for node in nodes:
        assert node.GetAttribute("RRLMedSAM.isResult") == "1"
        assert node.GetNodeReference("RRLMedSAM.atlasVolume") is atlas
        assert node.GetNodeReference("RRLMedSAM.atlasSegmentation") is parameters.atlasSegmentation
        assert node.GetNodeReference("RRLMedSAM.target") is target
    assert result.GetNodeReference(result.GetReferenceImageGeometryReferenceRole()) is target
    forward, backward = nodes[1:3]
    fixed, moving = forward.GetFixedNodeReferenceRole(), forward.GetMovingNodeReferenceRole()
    assert (forward.GetNodeReference(fixed), forward.GetNodeReference(moving)) == (target, atlas)
    assert (backward.GetNodeReference(fixed), backward.GetNodeReference(moving)) == (atlas, target)


def test_segments_transforms_and_confidence_have_their_values(ready, scene, tmp_path):
    def values():
        parameters = ready.logic.getParameterNode()
        result, target = parameters.resultSegmentation, parameters.target
        forward, _backward, confidence = companions(result)
        points = np.array([[5.0, 6.0, 7.0], [14.0, 12.0, 9.0], [20.0, 20.0, 11.0]])
        moved = [forward.GetTransformFromParent().TransformPoint(*point) for point in points]
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(result, "id-liver", target)
        return mask, np.array(moved), slicer.util.arrayFromVolume(confidence).copy()

    before = values()
    reopen(ready, scene, tmp_path)
    after = values()
    assert before[0].any() and np.array_equal(before[0], after[0])
    assert np.allclose(before[1], after[1], atol=0.05)  # mm: Slicer reads a grid back with cubic interpolation
    assert np.array_equal(before[2], after[2])


def test_the_reopened_scene_can_be_segmented_again(ready, scene, tmp_path):
    first = reopen(ready, scene, tmp_path).resultSegmentation
    ready.click()
    assert ready.status.startswith("Finished")
    second = ready.logic.getParameterNode().resultSegmentation
    assert second is not first and scene.IsNodePresent(first)
