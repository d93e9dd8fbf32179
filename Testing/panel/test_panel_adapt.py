"""'Adapt to this atlas': what is asked for, start, pause, resume, and what is shown meanwhile."""

import json

import numpy as np
import phantom
import pytest
import qt
import slicer
import slicer.util
from driver import Driver
from host.events import pump, screenshot
from phantom import boxes
from RRLMedSAMEngine.geometry import to_rows
from RRLMedSAMLib import pictures
from RRLMedSAMLib.adaptation import isUnfinished
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.resultnodes import targetOf
from RRLMedSAMLib.scene import LPS_FROM_RAS, ijkToRas

SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    """(atlas, segmentation, target, another scan)"""
    atlas = phantom.volume(scene, "atlas", SHAPE, phantom.geometry((1, 1.2, 1.5), (10, 20, 30), flip=True))
    masks = {"Leber": boxes(SHAPE) == 1, "Milz": boxes(SHAPE) == 2}
    segmentation = phantom.segmentation(scene, "atlas segmentation", masks, atlas)
    scans = [phantom.volume(scene, name, (18, 26, 30), seed=n) for n, name in enumerate(("target", "another"))]
    return atlas, segmentation, *scans


@pytest.fixture
def user(openModule, nodes, tmp_path):
    """The user of a panel whose worker trains, the atlas chosen."""
    user = Driver(openModule())
    user.worker("trainer", tmp_path)
    user.choose(*nodes[:3])
    user.ui.adaptCollapsibleButton.collapsed = False
    pump()
    return user


def check(user, *names):
    for item, node in user.panel.adapting._items:
        if node.GetName() in names:
            item.setCheckState(qt.Qt.Checked)
    pump()


def prepare(user, folder):
    check(user, "another")
    user.ui.adaptOutputEdit.setText(str(folder / "mine.rrl"))
    pump()


def listed(user):
    return [item.text() for item, _node in user.panel.adapting._items]


def test_the_scenes_volumes_are_listed_but_the_atlas_is_not(user, scene):
    assert listed(user) == ["target", "another"]
    check(user, "another")
    phantom.volume(scene, "a third", SHAPE)
    pump()
    assert listed(user) == ["target", "another", "a third"]
    assert [node.GetName() for node in user.panel.adapting.scans()] == ["another"]
    scene.RemoveNode(user.panel.adapting.scans()[0])
    pump()
    assert listed(user) == ["target", "a third"] and not user.panel.adapting.scans()


def test_the_button_says_what_is_missing(user, tmp_path):
    button = user.ui.adaptButton
    assert not button.enabled and "unlabelled scan" in button.toolTip
    check(user, "another")
    assert not button.enabled and "ends in .rrl" in button.toolTip
    for text, missing in (
        (str(tmp_path / "mine.zip"), "ends in .rrl"),
        ("mine.rrl", "ends in .rrl"),
        (str(tmp_path / "none" / "mine.rrl"), "folder"),
    ):
        user.ui.adaptOutputEdit.setText(text)
        pump()
        assert not button.enabled and missing in button.toolTip
    user.ui.adaptOutputEdit.setText(str(tmp_path / "mine.rrl"))
    pump()
    assert button.enabled
    user.ui.adaptFolderEdit.setText(str(tmp_path / "nowhere"))
    pump()
    assert not button.enabled and "does not exist" in button.toolTip
    user.ui.adaptFolderEdit.setText("")
    (tmp_path / "mine.rrl").write_text("")
    user.panel.update()
    assert not button.enabled and "exists" in button.toolTip


def test_it_is_paused_and_resumed_and_the_model_selected(user, nodes, tmp_path, monkeypatch):
    prepare(user, tmp_path)
    button, ui = user.ui.adaptButton, user.ui
    assert button.text == "Sta&rt"
    button.click()
    user.wait(lambda: user.isShown("adaptPreviewLabel"))
    assert button.text == "&Pause" and button.enabled
    assert ui.adaptStatusLabel.text == "Training, about 1 min 0 s left"
    assert user.isShown("adaptCurveLabel") and user.isShown("adaptProgressBar")
    assert not ui.applyButton.enabled and "adapted" in ui.applyButton.toolTip
    assert not ui.adaptScansList.enabled
    button.click()
    user.wait(lambda: not user.logic.isBusy)
    assert ui.adaptStatusLabel.text == "Paused: nothing is lost."
    assert button.text == "Res&ume" and button.enabled and ui.applyButton.enabled
    assert not user.isShown("adaptProgressBar")
    button.click()
    user.wait(lambda: not user.logic.isBusy)
    assert ui.adaptStatusLabel.text.splitlines() == [
        "The model is done, and is now selected.", "Scan 2 was left out."
    ]  # fmt: skip
    assert user.logic.getParameterNode().model == str(tmp_path / "mine.rrl")
    screenshot(user.window, str(tmp_path / "panel.png"))


def test_the_worker_gets_the_atlas_and_the_scans_where_they_lie(user, nodes, tmp_path):
    atlas, segmentation, _target, another = nodes
    parent = phantom.linear(slicer.mrmlScene, phantom.randomLinear(np.random.default_rng(0)))
    for node in (atlas, segmentation):
        node.SetAndObserveTransformNodeID(parent.GetID())
    prepare(user, tmp_path)
    (tmp_path / "mine.rrl.unfinished").mkdir()  # so that the fake is done at once
    user.ui.adaptMinutesSpinBox.setValue(7)
    pump()
    user.ui.adaptButton.click()
    user.wait(lambda: not user.logic.isBusy)
    request = json.loads((tmp_path / "mine.rrl").read_text())
    assert request["names"] == {"1": "Leber", "2": "Milz"} and request["minutes"] == 7 and request["base"] == "general"
    # In the atlas's own frame: what the parent transform does to both says nothing about their shape.
    assert np.allclose(request["atlas"]["voxel_to_lps"], LPS_FROM_RAS @ ijkToRas(atlas))
    assert np.allclose(request["atlas_labels"]["voxel_to_lps"], request["atlas"]["voxel_to_lps"])
    assert [np.array(scan["voxel_to_lps"]).tolist() for scan in request["scans"]] == [
        np.array(to_rows(LPS_FROM_RAS @ ijkToRas(another))).tolist()
    ]


def corrected(user):
    """A result of the panel with a corrected segment; returns its node and where the segment is."""
    worker = user.logic.worker._command
    user.worker("good")
    user.click()
    segmentation = user.logic.getParameterNode().resultSegmentation
    mask = np.zeros((18, 26, 30), np.uint8)
    mask[3:9, 4:8, 5:15] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, "id-Milz", targetOf(segmentation))
    user.logic.worker.stop()
    user.logic.worker._command = worker
    return segmentation, mask


def test_a_corrected_case_is_a_labelled_example(user, nodes, tmp_path):
    segmentation, mask = corrected(user)
    segmentation.GetSegmentation().RemoveSegment("id-Leber")
    segmentation.GetSegmentation().AddEmptySegment("own", "not in the atlas")
    assert listed(user) == ["target", "another"]
    user.ui.exampleButton.click()
    assert listed(user) == ["another", "target segmentation (labelled)"]
    user.ui.adaptOutputEdit.setText(str(tmp_path / "mine.rrl"))
    pump()
    assert user.ui.adaptButton.enabled  # one labelled case is enough to begin with
    (tmp_path / "mine.rrl.unfinished").mkdir()
    user.ui.adaptButton.click()
    user.wait(lambda: not user.logic.isBusy)
    request = json.loads((tmp_path / "mine.rrl").read_text())
    assert request["scans"] == [] and len(request["examples"]) == 1
    expected = np.array(to_rows(LPS_FROM_RAS @ ijkToRas(nodes[2])))
    for part in ("image", "labels"):
        assert np.allclose(request["examples"][0][part]["voxel_to_lps"], expected)
    assert request["example_voxels"] == [[mask.size - int(mask.sum()), 0, int(mask.sum())]]  # Milz is 2 in the atlas


def test_a_second_click_takes_the_example_away(user, nodes, scene):
    segmentation, _mask = corrected(user)
    user.ui.exampleButton.click()
    assert user.ui.exampleButton.checked
    user.ui.exampleButton.click()
    assert listed(user) == ["target", "another"] and not user.ui.exampleButton.checked
    user.ui.exampleButton.click()
    scene.RemoveNode(nodes[2])  # without its image it is no example
    pump()
    assert listed(user) == ["another"]


def test_segments_that_overlap_are_refused(openModule, scene, nodes, tmp_path):
    atlas, _segmentation, target, _another = nodes
    both = boxes(SHAPE) > 0
    overlapping = phantom.segmentation(scene, "overlapping", {"a": both, "b": both}, atlas)
    user = Driver(openModule())
    user.worker("trainer", tmp_path)
    user.choose(atlas, overlapping, target)
    prepare(user, tmp_path)
    user.ui.adaptButton.click()
    user.wait(lambda: not user.logic.isBusy)
    assert "overlap" in user.ui.adaptStatusLabel.text and user.ui.adaptButton.text == "Sta&rt"


def test_a_worker_that_dies_is_said_and_the_button_works_again(user, tmp_path):
    prepare(user, tmp_path)
    user.worker("dying")
    user.ui.adaptButton.click()
    user.wait(lambda: not user.logic.isBusy)
    assert "ended by the system" in user.ui.adaptStatusLabel.text
    assert user.ui.adaptButton.enabled


def test_closing_the_scene_ends_nothing_but_the_choice(user, scene, tmp_path):
    prepare(user, tmp_path)
    user.ui.adaptButton.click()
    user.wait(lambda: user.isShown("adaptPreviewLabel"))
    scene.Clear()
    pump()
    assert user.logic.isBusy and listed(user) == []
    user.ui.adaptButton.click()
    user.wait(lambda: not user.logic.isBusy)
    assert isUnfinished(str(tmp_path / "mine.rrl"))


def test_a_model_that_is_done_after_its_scene_was_closed_is_selected(user, scene, tmp_path):
    prepare(user, tmp_path)
    (tmp_path / "mine.rrl.unfinished").mkdir()  # so that the fake is done at once
    user.ui.adaptButton.click()
    user.loaded.exit()
    user.wait(lambda: user.panel.adapting._task.state != "preparing")
    scene.Clear()
    user.wait(lambda: not user.logic.isBusy)
    assert user.logic.getParameterNode().model == str(tmp_path / "mine.rrl")


def test_a_training_is_resumed_without_its_scans(user, tmp_path):
    (tmp_path / "mine.rrl.unfinished").mkdir()
    user.ui.adaptOutputEdit.setText(str(tmp_path / "mine.rrl"))
    pump()
    assert user.ui.adaptButton.enabled and user.ui.adaptButton.text == "Res&ume"
    user.ui.adaptButton.click()
    user.wait(lambda: not user.logic.isBusy)
    assert json.loads((tmp_path / "mine.rrl").read_text())["scans"] == []


def test_the_time_is_a_number_of_minutes(user):
    box = user.ui.adaptMinutesSpinBox
    assert (box.minimum, box.maximum, box.value) == (1, 10000, 30)


def test_a_model_that_is_gone_is_told_before_a_training(user, tmp_path):
    prepare(user, tmp_path)
    user.logic.getParameterNode().model = str(tmp_path / "gone.rrl")
    pump()
    assert not user.ui.adaptButton.enabled and "cannot be found" in user.ui.adaptButton.toolTip


def test_a_script_adapts_without_a_panel(fakeLogic, nodes, tmp_path):
    logic = fakeLogic("trainer", tmp_path)
    (tmp_path / "mine.rrl.unfinished").mkdir()
    atlas, segmentation, target, another = nodes
    task = logic.adapt(atlas, segmentation, [target, another], str(tmp_path / "mine.rrl"), minutes=1)
    logic.wait(task)
    assert task.error is None and task.card == {"name": "mine"} and len(task.losses) == 5
    assert task.picture.shape == (40, 84, 3)
    with pytest.raises(RunError, match="atlas segmentation"):
        logic.adapt(atlas, None, [target], str(tmp_path / "other.rrl"))
    with pytest.raises(ValueError, match="device"):
        logic.adapt(atlas, segmentation, [target], str(tmp_path / "other.rrl"), device="tpu")


def test_pictures_show_what_they_are_given(scene):
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 5] = (255, 128, 0)
    found = pictures.pixmap(image).toImage()
    assert (found.width(), found.height()) == (6, 4)
    colour = qt.QColor(found.pixel(5, 0))
    assert (colour.red(), colour.green(), colour.blue()) == (255, 128, 0)
    drawn = pictures.curve([{"a": 1.0}, {"a": 0.0, "b": 2.0}, {"a": 0.5, "b": 2.0}], 200, 100, False).toImage()
    assert (drawn.width(), drawn.height()) == (200, 100)
    colours = {drawn.pixelColor(x, y).name() for x in range(200) for y in range(32, 100)}
    assert {"#e69f00", "#56b4e9"} <= colours
