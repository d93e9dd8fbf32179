"""The choice of a model: what is listed, what is said of it, and that the run gets it."""

import dataclasses
import json
import os
import zipfile
from pathlib import Path

import phantom
import pytest
import qt
import slicer
from driver import Driver
from host.events import pump, screenshot
from phantom import boxes
from RRLMedSAMEngine.card import CARD, SCHEMA, WEIGHTS, Card
from RRLMedSAMLib import dialogs, models, modelview, selftest
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.resultnodes import readReport
from RRLMedSAMLib.resultview import figuresText

SHAPE = (20, 24, 28)
BRAIN = Card(
    name="Brain MR", summary="For brains in T1-weighted MR, adapted to an atlas of 2 structures.", sizes={},
    atlas_fingerprint="0" * 64, structures=[{"label": 1, "name": ""}, {"label": 2, "name": ""}], intensity="MR",
    spacing_mm=1.0, training={"scans": 12, "seconds": 3600}, seed=0, date="2026-11-23",
    figures={"dice": 0.81, "hd95_mm": {"mean": 2.5}}, sources=["OpenBrains, www.example.org", "our own scans"],
    terms="CC BY 4.0.",
)  # fmt: skip
BRAIN_TEXT = [
    "Brain MR",
    "For brains in T1-weighted MR, adapted to an atlas of 2 structures.",
    "Made on: 2026-11-23",
    "Trained on: 12 scans in 60 min",
    "Structures: 2",
    "Intensities: MR",
    "Figures: dice 0.81, hd95_mm mean 2.5",
    "Sources: OpenBrains, www.example.org; our own scans",
    "Terms: CC BY 4.0.",
]


def write(path, card=BRAIN, **changes):
    """A package whose weights are none: the panel never looks at them. Returns the path as text."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(CARD, json.dumps({**dataclasses.asdict(card), **changes}))
        package.writestr(WEIGHTS, b"no weights")
    return str(path)


@pytest.fixture(autouse=True)
def shippedFolder(tmp_path, monkeypatch):
    """Where the shipped packages would lie; absent at first."""
    folder = tmp_path / "Models"
    monkeypatch.setattr(models, "FOLDER", str(folder))
    return folder


@pytest.fixture
def package(tmp_path):
    return write(tmp_path / "mine" / "my atlas.v2.rrl")


@pytest.fixture
def nodes(scene):
    atlas = phantom.volume(scene, "atlas", SHAPE)
    segmentation = phantom.segmentation(scene, "atlas segmentation", {"left": boxes(SHAPE) == 1}, atlas)
    return [atlas, segmentation, phantom.volume(scene, "target", (18, 26, 30), seed=1)]


@pytest.fixture
def ready(driver, nodes):
    driver.choose(*nodes)
    assert driver.ui.applyButton.enabled
    return driver


def listed(driver):
    box = driver.ui.modelComboBox
    return [box.itemText(row) for row in range(box.count)]


def pick(driver, label):
    driver.ui.modelComboBox.setCurrentIndex(listed(driver).index(label))
    pump()


def chosen(driver):
    return driver.logic.getParameterNode().model


# ---------------------------------------------------------------- the list


def test_without_packages_there_are_two_choices(driver):
    assert listed(driver) == ["Automatic", "Instant (no training)"]
    assert chosen(driver) == "auto" and driver.ui.modelComboBox.currentText == "Automatic"
    assert "exactly this atlas" in driver.ui.modelHintLabel.text
    assert not driver.isShown("modelCardButton") and not driver.isShown("modelCardLabel")
    pick(driver, "Instant (no training)")
    assert chosen(driver) == "instant"
    assert "Registration alone" in driver.ui.modelHintLabel.text and not driver.ui.modelHintLabel.enabled


def test_shipped_models_are_listed_by_name(shippedFolder, openModule):
    write(shippedFolder / "brain.v1.rrl")
    write(shippedFolder / "abdomen.rrl")
    (shippedFolder / "README.txt").write_text("no model")
    driver = Driver(openModule())
    assert listed(driver)[2:] == ["abdomen", "brain.v1"]
    pick(driver, "brain.v1")
    assert chosen(driver) == "brain.v1"
    assert driver.ui.modelHintLabel.text == BRAIN.summary


def test_a_package_is_taken_from_the_dialog(ready, package, monkeypatch):
    answers = [None, package]
    monkeypatch.setattr(modelview, "chosenFile", lambda *_arguments: answers.pop(0))
    ready.ui.modelButton.click()
    assert chosen(ready) == "auto" and len(listed(ready)) == 2
    ready.ui.modelButton.click()
    assert chosen(ready) == package and listed(ready)[2:] == ["my atlas.v2"]
    assert ready.ui.modelComboBox.currentText == "my atlas.v2" and ready.ui.modelComboBox.toolTip == package
    assert ready.ui.modelHintLabel.text == BRAIN.summary and ready.ui.applyButton.enabled
    pick(ready, "Automatic")
    assert listed(ready)[2:] == ["my atlas.v2"]  # still offered
    pick(ready, "my atlas.v2")
    assert chosen(ready) == package


@pytest.mark.parametrize("isAccepted", [True, False])
def test_the_dialog_gives_one_existing_package(driver, package, monkeypatch, isAccepted):
    monkeypatch.setattr(slicer.app, "_isTesting", False)
    seen = []

    def answer(dialog):
        dialog.selectFile(package)
        seen.append((dialog.fileMode, dialog.nameFilters()))
        return isAccepted

    monkeypatch.setattr(qt.QFileDialog, "exec_", answer)
    path = dialogs.chosenFile(driver.ui.modelButton, "Choose", "Model packages", ".rrl")
    assert path == (package if isAccepted else None)
    assert seen[0][0] == qt.QFileDialog.ExistingFile and "*.rrl" in seen[0][1][0]


def test_no_dialog_opens_while_the_application_is_tested(driver, monkeypatch):
    opened = []
    monkeypatch.setattr(qt.QFileDialog, "exec_", lambda dialog: opened.append(dialog) or True)
    assert slicer.app.testingEnabled()
    assert dialogs.chosenFile(driver.ui.modelButton, "Choose", "Model packages", ".rrl") is None
    assert dialogs.chosenFolder(driver.ui.modelButton, "Choose") is None and not opened


# ---------------------------------------------------------------- the card


def test_the_card_is_shown_on_a_click(ready, package):
    ready.logic.getParameterNode().model = package
    assert ready.isShown("modelCardButton") and not ready.isShown("modelCardLabel")
    ready.ui.modelCardButton.click()
    assert ready.isShown("modelCardLabel")
    assert ready.ui.modelCardLabel.text.splitlines() == BRAIN_TEXT
    pick(ready, "Automatic")
    assert not ready.isShown("modelCardLabel")
    pick(ready, "my atlas.v2")
    assert ready.isShown("modelCardLabel")  # it was left open
    ready.ui.modelCardButton.click()
    assert not ready.isShown("modelCardLabel")


def test_a_card_may_say_less_or_something_odd():
    empty = {"training": {}, "structures": [], "figures": {}, "sources": [], "terms": ""}
    card = dataclasses.replace(BRAIN, **empty)
    assert models.cardText(card).splitlines() == [*BRAIN_TEXT[:3], "Intensities: MR"]
    odd = dataclasses.replace(BRAIN, training={"scans": None, "seconds": "long"}, figures={"a": [None, {"b": 1}]})
    assert "Figures: a None; b 1" in models.cardText(odd) and "Trained" not in models.cardText(odd)


def test_the_panel_with_a_card_fits_into_320_pixels(ready, tmp_path):
    """A picture of it is kept where RRLMEDSAM_PICTURES names a folder."""
    name = "a_model_package_with_a_name_without_a_single_space_that_is_much_too_long"
    package = write(tmp_path / f"{name}.rrl", name=name, terms="https://example.org/" + "terms" * 20)
    ready.logic.getParameterNode().model = package
    ready.ui.modelCardButton.click()
    ready.window.resize(320, 700)
    pump()
    assert ready.window.width == 320
    shown = [getattr(ready.ui, f"model{part}") for part in ("HintLabel", "CardButton", "CardLabel")]
    assert all(above.geometry.bottom() < below.geometry.top() for above, below in zip(shown, shown[1:]))
    assert all(label.height >= label.heightForWidth(label.width) for label in (shown[0], shown[2]))
    right = ready.ui.modelButton.geometry.right()
    assert ready.ui.modelComboBox.geometry.right() < right < 320
    if "RRLMEDSAM_PICTURES" in os.environ:
        ready.logic.getParameterNode().model = write(tmp_path / "brain.rrl")
        screenshot(ready.window, str(Path(os.environ["RRLMEDSAM_PICTURES"]) / "panel-model.png"))


# ---------------------------------------------------------------- models that cannot be used


def refusal(driver):
    """Why the button is disabled, which the hint says too."""
    assert not driver.ui.applyButton.enabled
    assert driver.ui.modelHintLabel.enabled and not driver.isShown("modelCardButton")
    assert driver.ui.applyButton.toolTip == driver.ui.modelHintLabel.text
    return driver.ui.applyButton.toolTip


def test_a_package_that_is_gone(ready, package):
    ready.logic.getParameterNode().model = package
    Path(package).unlink()
    ready.loaded.exit()
    ready.loaded.enter()
    assert refusal(ready).startswith("The model my atlas.v2 cannot be found.")
    write(Path(package))
    ready.loaded.enter()
    assert ready.ui.applyButton.enabled and ready.isShown("modelCardButton")


@pytest.mark.parametrize("value", ["brain", "C:\\models\\brain.rrl", "/models/brain.rrl"])
def test_a_scene_from_elsewhere_names_a_model_that_is_not_here(ready, value):
    ready.logic.getParameterNode().model = value
    assert ready.ui.modelComboBox.currentText == "brain"
    assert refusal(ready).startswith("The model brain cannot be found.")
    pick(ready, "Automatic")
    assert ready.ui.applyButton.enabled and "Transfers" in ready.ui.applyButton.toolTip


def test_a_damaged_package(ready, package):
    Path(package).write_bytes(Path(package).read_bytes()[:-30])
    ready.logic.getParameterNode().model = package
    assert "damaged" in refusal(ready)


def test_a_package_of_a_newer_version(ready, package):
    write(Path(package), schema=SCHEMA + 1)
    ready.logic.getParameterNode().model = package
    assert "Update the extension." in refusal(ready)


# ---------------------------------------------------------------- scenes


def test_the_choice_is_saved_with_the_scene(ready, package, scene, tmp_path):
    ready.logic.getParameterNode().model = package
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    scene.Clear(False)
    pump()
    assert chosen(ready) == "auto" and listed(ready) == ["Automatic", "Instant (no training)"]
    assert scene.ReadFromMRB(path, False, None)
    pump()
    assert chosen(ready) == package
    assert ready.ui.modelComboBox.currentText == "my atlas.v2" and ready.isShown("modelCardButton")


# ---------------------------------------------------------------- runs


def test_the_panel_passes_the_choice_on(ready, package):
    ready.logic.getParameterNode().model = package
    ready.click()
    assert ready.status.startswith("Finished")
    result = ready.logic.getParameterNode().resultSegmentation
    # Without its folder, which may tell whose scans they were.
    assert readReport(result)["settings"]["model"] == "my atlas.v2.rrl"
    assert str(Path(package).parent) not in str([result.GetAttribute(name) for name in result.GetAttributeNames()])


@pytest.mark.parametrize("options, expected", [({}, "auto"), ({"model": "instant"}, "instant"), ({"model": "x"}, "x")])
def test_the_logic_passes_the_model_on(nodes, goodLogic, options, expected):
    result = goodLogic.segmentAndWait(*nodes, **options)
    assert result.segmentation.GetAttribute("RRLMedSAM.model") == expected


def test_the_result_says_which_model_it_was(nodes, goodLogic):
    report = readReport(goodLogic.segmentAndWait(*nodes).segmentation)
    assert "Model: Instant (no training)" in figuresText(report).splitlines()
    assert "Model: Brain MR/CT" in figuresText({**report, "model": "Brain MR/CT"}).splitlines()
    report.pop("model")
    assert "Model: Instant (no training)" in figuresText(report).splitlines()


@pytest.fixture
def real(openModule, scene):
    """The user of a panel with the real worker, a small phantom chosen, at the lowest effort."""
    user = Driver(openModule())
    (atlasImage, labels), (targetImage, _truth) = selftest.phantom(0.0), selftest.phantom(selftest.SHIFT)
    atlas = phantom.volume(scene, "atlas", array=atlasImage)
    segmentation = phantom.segmentation(scene, "segments", {"body": labels == 1, "organ": labels == 2}, atlas)
    user.choose(atlas, segmentation, phantom.volume(scene, "target", array=targetImage))
    user.ui.effortComboBox.setCurrentIndex(0)
    user.ui.deviceComboBox.setCurrentIndex(1)
    return user


@pytest.mark.needs_torch
def test_a_click_segments_with_the_model_instant(real):
    pick(real, "Instant (no training)")
    real.ui.applyButton.click()
    real.wait(lambda: not real.logic.isBusy, seconds=180)
    assert real.status.startswith("Finished"), real.status + real.log
    report = readReport(real.logic.getParameterNode().resultSegmentation)
    assert report["settings"]["model"] == report["model"] == "instant"
    assert "Model: Instant (no training)" in real.ui.resultLabel.text


@pytest.mark.needs_torch
def test_the_worker_refuses_what_the_card_does_not_show(real, package):
    real.logic.getParameterNode().model = package
    real.ui.applyButton.click()
    real.wait(lambda: not real.logic.isBusy, seconds=180)
    assert real.status.startswith("The model's weights differ from what its card says")
    assert real.ui.applyButton.enabled
    with pytest.raises(RunError) as caught:
        real.logic.segmentAndWait(*real.panel._inputs().values(), model=package + "x")
    assert caught.value.code == "bad_model"
