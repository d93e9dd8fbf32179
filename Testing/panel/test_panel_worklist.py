"""'Many targets': volumes of the scene and files, one after the other, whatever happens to one of them."""

import csv
import os
import random
import shutil
import time

import dicomseg
import numpy as np
import phantom
import pytest
import qt
import SimpleITK as sitk
import slicer
import slicer.util
from driver import Driver
from host.events import pump, screenshot
from RRLMedSAMLib import dialogs, entrytexts, worklisttable, worklistview
from RRLMedSAMLib.resulttable import tableNode

SHAPE = (20, 24, 28)
FILES = ("b.nii.gz", "a.nii.gz", "Müller, Ä_ö 日本.nii.gz")


@pytest.fixture
def nodes(scene):
    """(atlas, segmentation, four targets)"""
    atlas = phantom.volume(scene, "atlas", SHAPE)
    labels = phantom.boxes(SHAPE)
    segmentation = phantom.segmentation(scene, "segments", {"liver": labels == 1, "lung": labels == 2}, atlas)
    targets = [phantom.volume(scene, f"target {n}", (18, 26, 30), seed=n) for n in range(1, 5)]
    return atlas, segmentation, *targets


@pytest.fixture
def user(openModule, nodes):
    """The user of a panel with an atlas chosen, the section open."""
    user = Driver(openModule())
    user.worker("good")
    user.choose(*nodes[:2])
    user.ui.worklistCollapsibleButton.collapsed = False
    pump()
    return user


@pytest.fixture
def files(tmp_path):
    """A folder of targets, and one for their results."""
    folder, output = tmp_path / "scans", tmp_path / "results"
    folder.mkdir()
    output.mkdir()
    random = np.random.default_rng(5)
    for name in FILES:
        image = sitk.GetImageFromArray(random.normal(0, 100, SHAPE).astype(np.int16))
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # as the phantom's nodes have it, in RAS
        sitk.WriteImage(image, str(folder / name))
    return folder, output


def entries(user):
    return user.panel.worklist.worklist.entries


def check(user, *names):
    table = user.ui.worklistTable
    for row in range(table.rowCount):
        isChosen = table.item(row, 0).text() in names
        table.item(row, 0).setCheckState(qt.Qt.Checked if isChosen else qt.Qt.Unchecked)
    pump()


def rows(user):
    table = user.ui.worklistTable
    return [tuple(table.item(row, column).text() for column in range(3)) for row in range(table.rowCount)]


def states(user):
    return [entry.state for entry in entries(user)]


def button(user, row):
    return user.ui.worklistTable.cellWidget(row, worklisttable.ACTION)


def run(user, until=None):
    user.ui.worklistButton.click()
    user.wait(until or (lambda: not user.logic.isBusy), 60)


# ---------------------------------------------------------------- volumes of the scene


def test_the_scenes_volumes_are_listed_but_neither_the_atlas_nor_results(user, nodes, scene):
    assert [row[0] for row in rows(user)] == [f"target {n}" for n in range(1, 5)]
    user.choose(*nodes[:3])
    user.click()
    assert len(rows(user)) == 4  # the confidence volume is a result
    nodes[3].SetName("renamed")
    phantom.volume(scene, "new", SHAPE)
    pump()
    assert [row[0] for row in rows(user)] == ["target 1", "renamed", "target 3", "target 4", "new"]


def test_the_button_says_what_is_missing(user, nodes):
    button = user.ui.worklistButton
    assert not button.enabled and "Check at least one" in button.toolTip
    check(user, "target 2")
    assert button.enabled
    user.choose(None, nodes[1])
    assert not button.enabled and "Choose an atlas" in button.toolTip


def test_checked_targets_are_segmented_one_after_the_other(user, nodes):
    check(user, "target 1", "target 3")
    run(user)
    assert states(user) == ["finished", "new", "finished", "new"]
    assert user.ui.worklistStatusLabel.text == "2 finished, 0 failed, 0 cancelled."
    for number in (1, 3):
        assert slicer.util.getNode(f"target {number} segmentation") is not None
    assert rows(user)[0][1].endswith("s") and rows(user)[0][2] == entrytexts.DONE
    found = [slicer.util.getNode(f"target {number} segmentation") for number in (1, 3)]
    assert not any(node.GetDisplayVisibility() for node in found)  # they may lie at one place
    # Show brings the result into the results section.
    button(user, 2).click()
    assert user.logic.getParameterNode().resultSegmentation.GetName() == "target 3 segmentation"
    assert user.table[0][0] in ("liver", "lung")
    assert [bool(node.GetDisplayVisibility()) for node in found] == [False, True]


def test_while_it_goes_on_nothing_else_starts_and_each_row_tells_its_progress(user, nodes):
    user.worker("good", 0.5)
    check(user, "target 1", "target 2")
    user.choose(*nodes[:3])
    run(user, lambda: rows(user)[0][1].startswith("3"))
    assert rows(user)[0][1] == "33 %, 2 s left" and rows(user)[1][1] == "waiting"
    assert not user.ui.applyButton.enabled and "Many targets" in user.ui.applyButton.toolTip
    assert not user.ui.worklistButton.enabled and user.ui.worklistCancelButton.enabled
    user.wait(lambda: not user.logic.isBusy)
    assert user.ui.applyButton.enabled


def test_one_is_cancelled_and_the_others_go_on(user):
    user.worker("politely")
    check(user, "target 1", "target 2", "target 3")
    run(user, lambda: "50" in rows(user)[0][1] or "51" in rows(user)[0][1])
    button(user, 1).click()  # it waits
    assert states(user)[:3] == ["running", "cancelled", "waiting"]
    button(user, 0).click()
    user.wait(lambda: states(user)[2] == "running")
    assert states(user)[:3] == ["cancelled", "cancelled", "running"]
    user.ui.worklistCancelButton.click()
    user.wait(lambda: not user.logic.isBusy)
    assert states(user)[:3] == ["cancelled"] * 3 and not slicer.util.getNodes("*segmentation*")


def test_a_failure_is_told_and_the_next_target_is_segmented_and_it_can_be_retried(user, nodes):
    phantom.volume(slicer.mrmlScene, "thin", (1, 20, 20))
    pump()
    check(user, "thin", "target 2")
    run(user)
    byName = {row[0]: row[1] for row in rows(user)}
    assert byName["thin"] == "failed" and states(user).count("finished") == 1
    assert "thin: " in user.ui.worklistStatusLabel.text and "one voxel thin" in user.ui.worklistStatusLabel.text
    row = [row[0] for row in rows(user)].index("thin")
    assert button(user, row).text == "Retry"
    slicer.util.updateVolumeFromArray(entries(user)[row].node, np.ones((9, 20, 20), np.int16))
    button(user, row).click()
    user.wait(lambda: not user.logic.isBusy)
    assert states(user)[row] == "finished"


def test_a_worker_that_dies_is_replaced_and_finished_results_stay(user):
    user.worker("mortal", 3)  # each third request is its last
    check(user, "target 1", "target 2", "target 3", "target 4")
    run(user)
    assert states(user) == ["finished", "finished", "failed", "finished"]
    assert "ended unexpectedly" in user.ui.worklistStatusLabel.text


def test_retry_has_to_wait_for_other_runs_but_not_for_the_list(user, nodes):
    user.worker("mortal", 1)
    check(user, "target 1")
    run(user)
    retry = button(user, 0)
    assert retry.text == "Retry" and retry.enabled and "again" in retry.toolTip
    user.worker("politely")
    user.choose(*nodes[:2], nodes[3])
    user.ui.applyButton.click()
    pump()
    assert not retry.enabled and "A run is going on" in retry.toolTip
    with pytest.raises(RuntimeError, match="going on"):  # as a script might
        user.panel.worklist.worklist.retry(entries(user)[0])
    assert states(user)[0] == "failed" and not user.panel.worklist.isBusy
    user.logic.cancel()
    user.wait(lambda: not user.logic.isBusy)
    assert retry.enabled
    user.worker("good", 0.3)
    check(user, "target 2")
    run(user, lambda: user.panel.worklist.isBusy)
    retry.click()
    assert states(user)[:2] == ["waiting", "running"]
    user.wait(lambda: not user.logic.isBusy)
    assert states(user)[:2] == ["finished", "finished"]


@pytest.mark.parametrize("where", ["start", "end"])
def test_an_error_nobody_foresaw_costs_its_target_alone(user, monkeypatch, errorTrap, where):
    def fail(*_arguments, **_options):
        monkeypatch.undo()
        raise ZeroDivisionError

    check(user, "target 1", "target 2", "target 3")
    if where == "start":
        monkeypatch.setattr(user.logic, "segment", fail)
    else:
        monkeypatch.setattr(worklistview, "addToTable", fail)
    run(user)
    assert len(errorTrap.errors) == 1 and "ZeroDivisionError" in errorTrap.errors[0]  # told in the console
    errorTrap.errors.clear()
    assert states(user)[:3] == ["failed" if where == "start" else "finished", "finished", "finished"]
    assert not user.panel.worklist.isBusy and user.ui.applyButton.toolTip.startswith("Choose")


def test_nothing_starts_while_the_setup_looks_at_the_worker(user, nodes):
    user.worker("hanging")
    user.choose(*nodes[:3])
    check(user, "target 2")
    user.ui.adaptCollapsibleButton.collapsed = False
    user.ui.setupCollapsibleButton.collapsed = False
    pump()
    assert user.logic.isBusy
    for name in ("applyButton", "worklistButton", "adaptButton"):
        each = getattr(user.ui, name)
        assert not each.enabled and "A run is going on" in each.toolTip, name
    assert not user.ui.refineButton.enabled
    user.logic.cancel()
    user.wait(lambda: not user.logic.isBusy)
    assert user.ui.applyButton.enabled and user.ui.worklistButton.enabled


@pytest.mark.slow
def test_a_worker_killed_at_ten_random_moments_costs_its_target_alone(user, nodes, scene):
    for number in range(5, 14):
        phantom.volume(scene, f"target {number}", (18, 26, 30), seed=number)
    pump()
    user.worker("good", 0.15)
    check(user, *[f"target {number}" for number in range(1, 14)])
    chance = random.Random(0)
    user.ui.worklistButton.click()
    killed = 0
    while user.panel.worklist.isBusy:
        pump()
        if killed < 10 and user.logic.worker.isRunning:
            moment = time.monotonic() + chance.uniform(0.0, 0.3)
            pump(lambda moment=moment: time.monotonic() > moment)
            process = user.logic.worker._process
            if process is not None:
                process.kill()
                killed += 1
        pump()
    assert killed == 10
    done = states(user)
    assert set(done) == {"finished", "failed"} and 1 <= done.count("failed") <= 10
    expected = np.zeros((18, 26, 30), np.uint8)
    expected[:, :24, :28] = np.roll(phantom.boxes(SHAPE), 2, axis=1)[:18]  # as the fake worker does it
    for entry in entries(user):
        if entry.state == "failed":
            assert entry.error.text and entry.error.action
            assert entry.segmentation is None
            continue
        assert scene.IsNodePresent(entry.segmentation)
        for value, name in ((1, "liver"), (2, "lung")):
            found = slicer.util.arrayFromSegmentBinaryLabelmap(entry.segmentation, f"id-{name}", entry.node)
            assert np.array_equal(found > 0, expected == value)


def test_a_target_deleted_while_it_waits_is_told(user, nodes, scene):
    user.worker("good", 0.3)
    check(user, "target 1", "target 2", "target 3")
    run(user, lambda: user.logic.isBusy)
    scene.RemoveNode(nodes[3])
    user.wait(lambda: not user.logic.isBusy)
    assert states(user)[:3].count("finished") == 2
    assert "no longer in the scene" in user.ui.worklistStatusLabel.text


def test_an_atlas_deleted_meanwhile_ends_all(user, nodes, scene):
    user.worker("good", 0.3)
    check(user, "target 1", "target 2")
    run(user, lambda: user.logic.isBusy)
    scene.RemoveNode(nodes[0])
    user.wait(lambda: not user.logic.isBusy)
    assert [state for state in states(user) if state != "new"] == ["failed", "failed"]


def test_a_scene_that_is_closed_ends_all(user, scene):
    user.worker("good", 5)
    check(user, "target 1", "target 2")
    run(user, lambda: user.logic.isBusy)
    scene.Clear(False)
    user.wait(lambda: not user.logic.isBusy)
    assert entries(user) == [] and user.ui.worklistTable.rowCount == 0


def test_what_is_missing_is_asked_for_once(user, monkeypatch):
    user.worker("notorch")
    asked = []
    monkeypatch.setattr(user.panel.worklist, "_install", lambda then: asked.append(then))
    check(user, "target 1", "target 2", "target 3")
    run(user)
    assert states(user)[:3] == ["failed"] * 3 and len(asked) == 1


# ---------------------------------------------------------------- the table


def test_the_table_has_all_targets_and_a_repeated_one_once(user, nodes, tmp_path, monkeypatch):
    assert not user.ui.worklistTableButton.enabled
    check(user, "target 1", "target 3")
    run(user)
    run(user)
    node = tableNode()
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1
    path = tmp_path / "volumes.csv"
    monkeypatch.setattr(worklistview, "chosenNewFile", lambda *_: str(path))
    user.ui.worklistTableButton.click()
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # else Excel garbles umlauts
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["Target", "Structure", "Volume (ml)", "Confidence (%)", "Look at", "Source"]
    assert sorted(line[:4] for line in lines[1:]) == [
        ["target 1", "liver", "1.5", "95"], ["target 1", "lung", "3", "85"],
        ["target 3", "liver", "1.5", "95"], ["target 3", "lung", "3", "85"],
    ]  # fmt: skip
    assert node.GetNumberOfRows() == 4


def test_targets_of_one_name_keep_their_lines_also_in_a_saved_scene(user, nodes, scene, tmp_path):
    nodes[3].SetName("target 1")
    pump()
    check(user, "target 1")
    run(user)
    assert tableRows() == [("target 1", "liver", node.GetID()) for node in nodes[2:4]] + [
        ("target 1", "lung", node.GetID()) for node in nodes[2:4]
    ]
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    scene.Clear(False)
    assert scene.ReadFromMRB(path, False, None)
    pump()
    assert len(tableRows()) == 4
    check(user, "target 1")
    run(user)  # again: no line twice, none lost
    assert states(user).count("finished") == 2 and len(tableRows()) == 4


def test_a_table_whose_columns_were_changed_is_left_alone(user):
    check(user, "target 1")
    run(user)
    changed = tableNode()
    changed.RemoveColumn(4)
    run(user)
    assert tableNode() is not changed and len(tableRows()) == 2 and changed.GetNumberOfRows() == 2


def tableRows():
    """(target, structure, source) of the table's lines, sorted by structure."""
    table = tableNode().GetTable()
    lines = [[table.GetValue(row, column).ToString() for column in (0, 1, 5)] for row in range(table.GetNumberOfRows())]
    return sorted(map(tuple, lines), key=lambda line: (line[1], line[2]))


# ---------------------------------------------------------------- files


def addFolder(user, files, monkeypatch):
    folder, output = files
    monkeypatch.setattr(worklistview, "chosenFolder", lambda *_: str(folder))
    user.ui.worklistFolderButton.click()
    user.ui.worklistOutputEdit.setText(str(output))
    pump()


def test_files_are_listed_checked_and_can_be_taken_off(user, files, monkeypatch):
    folder, output = files
    addFolder(user, files, monkeypatch)
    assert [row[0] for row in rows(user)[4:]] == ["Müller, Ä_ö 日本", "a", "b"]
    assert [entry.isChecked for entry in entries(user)] == [False] * 4 + [True] * 3
    user.ui.worklistFolderButton.click()
    assert len(rows(user)) == 7  # not twice
    user.ui.worklistTable.selectRow(5)
    user.ui.worklistRemoveButton.click()
    assert [row[0] for row in rows(user)[4:]] == ["Müller, Ä_ö 日本", "b"]
    user.ui.worklistOutputEdit.setText(str(output / "none"))
    assert not user.ui.worklistButton.enabled and "output folder" in user.ui.worklistButton.toolTip


def test_files_stay_files_until_they_are_shown(user, files, monkeypatch, scene):
    _folder, output = files
    addFolder(user, files, monkeypatch)
    before = scene.GetNumberOfNodes()
    run(user)
    assert states(user)[4:] == ["finished"] * 3
    assert scene.GetNumberOfNodes() <= before + 1  # the table
    assert sorted(os.listdir(output)) == sorted(["a", "b", "Müller, Ä_ö 日本"])
    assert {tableNode().GetTable().GetValue(row, 0).ToString() for row in range(tableNode().GetNumberOfRows())} == {
        "a", "b", "Müller, Ä_ö 日本",
    }  # fmt: skip
    button(user, 4).click()
    segmentation = user.logic.getParameterNode().resultSegmentation
    assert segmentation.GetName() == "Müller, Ä_ö 日本 segmentation"
    assert sorted(row[0] for row in user.table) == ["liver", "lung"]
    target = segmentation.GetNodeReference("RRLMedSAM.target")
    assert slicer.util.arrayFromVolume(target).shape == SHAPE
    assert slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "Segment_1", target).any()
    count = scene.GetNumberOfNodes()
    row = [entry.path and entry.name for entry in entries(user)].index("Müller, Ä_ö 日本")
    button(user, row).click()
    assert user.logic.getParameterNode().resultSegmentation is segmentation and scene.GetNumberOfNodes() == count


def test_each_series_of_a_dicom_folder_is_listed_segmented_and_shown(user, tmp_path, monkeypatch):
    """Two patients whose folders and series are called alike; Slicer shows the series that was meant."""
    output = tmp_path / "results"
    output.mkdir()
    for patient, offset in (("Ä", 0), ("b", 500)):
        folder = tmp_path / "scans" / patient / "DICOM"
        folder.mkdir(parents=True)
        for number in (1, 2):
            for k, dataset in enumerate(dicomseg.series(np.full(SHAPE, offset + number, np.int16))):
                dataset.SeriesNumber, dataset.SeriesDescription = number, "T1"
                dataset.save_as(folder / f"{number}-{k}.dcm", enforce_file_format=True)
    addFolder(user, (tmp_path / "scans", output), monkeypatch)
    names = ["b_DICOM_1_T1", "b_DICOM_2_T1", "Ä_DICOM_1_T1", "Ä_DICOM_2_T1"]
    assert [row[0] for row in rows(user)[4:]] == names
    run(user)
    assert states(user)[4:] == ["finished"] * 4 and sorted(os.listdir(output)) == sorted(names)
    for name, value in (("b_DICOM_2_T1", 502), ("Ä_DICOM_1_T1", 1)):
        # A target that was shown is listed as a volume, too, from then on.
        names = [entry.path and entry.name for entry in entries(user)]
        button(user, names.index(name)).click()
        segmentation = user.logic.getParameterNode().resultSegmentation
        shown = slicer.util.arrayFromVolume(segmentation.GetNodeReference("RRLMedSAM.target"))
        assert shown.shape == SHAPE and (shown == value).all()


def test_a_folder_that_cannot_be_read_is_told(user, tmp_path, monkeypatch):
    addFolder(user, (tmp_path / "none", tmp_path), monkeypatch)
    text = user.ui.worklistStatusLabel.text
    assert "cannot be read" in text and text.endswith("Choose another one.")


@pytest.fixture
def answers(monkeypatch):
    """The questions that were asked; ``answers.number``: which answer the user gives, None for Cancel."""

    class Asked(list):
        number = None

    asked = Asked()

    def chosen(_widget, question, answers):
        asked.append(question)
        return None if asked.number is None else answers[asked.number]

    monkeypatch.setattr(worklistview, "chosenAnswer", chosen)
    return asked


def marked(output):
    """Marks the results in the output folder; returns a function that gives the names of those that are still there."""
    for folder in output.iterdir():
        (folder / "report.json").write_text("corrected")
    return lambda: {folder.name for folder in output.iterdir() if (folder / "report.json").read_text() == "corrected"}


def test_existing_results_of_files_are_asked_about_and_kept_on_cancel(user, files, monkeypatch, answers):
    addFolder(user, files, monkeypatch)
    run(user)
    assert not answers
    kept = marked(files[1])
    user.ui.worklistButton.click()
    assert not user.logic.isBusy and len(kept()) == 3
    assert len(answers) == 1 and answers[0].startswith("3 of 3 targets") and ", a, b." in answers[0]


def test_targets_with_results_are_skipped(user, files, monkeypatch, answers):
    addFolder(user, files, monkeypatch)
    run(user)
    kept, answers.number = marked(files[1]), 0
    shutil.rmtree(files[1] / "b")
    run(user)
    assert answers[0].startswith("2 of 3 targets") and len(kept()) == 2 and (files[1] / "b" / "report.json").exists()
    run(user)
    assert len(kept()) == 2 and user.ui.worklistStatusLabel.text == "Nothing is left to be segmented."


def test_results_are_replaced_if_the_user_says_so(user, files, monkeypatch, answers):
    addFolder(user, files, monkeypatch)
    run(user)
    kept, answers.number = marked(files[1]), 1
    run(user)
    assert states(user)[4:] == ["finished"] * 3 and not kept()


def test_a_result_that_appears_meanwhile_is_not_replaced(user, files, monkeypatch, answers):
    addFolder(user, files, monkeypatch)
    run(user)
    kept = marked(files[1])
    user.panel.worklist.start(entries(user)[4:])
    user.wait(lambda: not user.logic.isBusy, 60)
    assert states(user)[4:] == ["failed"] * 3 and "already" in user.ui.worklistStatusLabel.text and len(kept()) == 3


def test_the_question_is_answered_by_its_buttons(user, monkeypatch):
    def ask():
        return dialogs.chosenAnswer(user.ui.worklistButton, "What now?", ["This", "That"])

    assert ask() is None  # nothing opens while the application is tested
    monkeypatch.setattr(slicer.app, "_isTesting", False)

    def answered(click):
        def act():
            box = qt.QApplication.activeModalWidget()
            click(box, {button.text.replace("&", ""): button for button in box.buttons()})

        qt.QTimer.singleShot(0, act)
        return ask()

    assert answered(lambda box, buttons: buttons["That"].click()) == "That"
    assert answered(lambda box, buttons: buttons["This"].click()) == "This"
    assert answered(lambda box, buttons: buttons["Cancel"].click()) is None
    assert answered(lambda box, buttons: box.reject()) is None


def test_when_what_is_missing_is_installed_the_list_goes_on_as_it_was_begun(user, files, monkeypatch, answers):
    addFolder(user, files, monkeypatch)
    run(user)
    kept, answers.number = marked(files[1]), 1
    user.worker("notorch")
    install = []
    monkeypatch.setattr(user.panel.worklist, "_install", install.append)
    run(user)
    assert states(user)[4:] == ["failed"] * 3 and len(kept()) == 3
    user.worker("good")
    install[0]()
    user.wait(lambda: not user.logic.isBusy, 60)
    assert states(user)[4:] == ["finished"] * 3 and not kept()


def test_a_full_disk_stops_the_list_is_told_once_and_earlier_results_stay(user, files, monkeypatch):
    folder, output = files
    for name in ("c", "d", "e"):
        (folder / f"{name}.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes())
    addFolder(user, files, monkeypatch)
    user.worker("filling", 2)
    run(user)
    assert states(user)[4:] == ["finished"] * 2 + ["failed"] * 4
    text = user.ui.worklistStatusLabel.text
    assert text.count("The disk is full. Free some space.") == 1 and "b, c, d and 1 more: " in text
    for name in os.listdir(output):
        assert len(os.listdir(output / name)) == 3
    assert len(os.listdir(output)) == 2 and len(tableRows()) == 4
    user.worker("good")
    for row in range(6, 10):
        button(user, row).click()
    user.wait(lambda: not user.logic.isBusy)
    assert states(user)[4:] == ["finished"] * 6


def test_a_lost_result_is_told_and_nothing_is_left(user, files, monkeypatch, scene):
    _folder, output = files
    addFolder(user, files, monkeypatch)
    run(user)
    os.remove(output / "a" / "confidence.nii.gz")
    before = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    button(user, 5).click()
    assert "cannot be loaded" in user.ui.worklistStatusLabel.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before


def test_overlapping_segments_have_no_files(user, files, monkeypatch, nodes):
    labels = phantom.boxes(SHAPE)
    overlapping = phantom.segmentation(slicer.mrmlScene, "overlap", {"liver": labels == 1, "all": labels > 0}, nodes[0])
    user.choose(nodes[0], overlapping)
    addFolder(user, files, monkeypatch)
    run(user)
    assert states(user)[4:] == ["failed"] * 3 and "overlap" in user.ui.worklistStatusLabel.text


def test_the_section_fits_a_narrow_panel(user, files, monkeypatch, tmp_path):
    addFolder(user, files, monkeypatch)
    run(user)
    user.ui.inputsCollapsibleButton.collapsed = True
    pump()
    screenshot(user.window, tmp_path / "worklist.png")
    assert user.window.width == 320
    table = user.ui.worklistTable
    assert table.cellWidget(0, worklisttable.ACTION) is None  # nothing can be done about a new one
    assert table.columnWidth(0) > 80 and not table.horizontalScrollBar().visible
