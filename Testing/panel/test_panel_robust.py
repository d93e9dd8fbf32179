"""The panel's side under spoiled output, two applications at once, and a module that is reloaded while it runs."""

import glob
import os

import phantom
import pytest
import slicer
from driver import Driver
from RRLMedSAMLib.exchange import PREFIX
from RRLMedSAMLib.resultnodes import companions
from RRLMedSAMLib.worklist import Entry

SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    atlas = phantom.volume(scene, "atlas", SHAPE)
    segmentation = phantom.segmentation(scene, "segments", {"liver": phantom.boxes(SHAPE) == 1}, atlas)
    return [atlas, segmentation, phantom.volume(scene, "target", SHAPE, seed=1)]


@pytest.fixture
def privateTemporaryFolder(tmp_path, monkeypatch):
    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    return tmp_path


def folders(place):
    return glob.glob(os.path.join(place, PREFIX + "*"))


@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_spoiled_lines_each_time_end_in_a_result_or_in_a_sentence(nodes, fakeLogic, scene, seed):
    logic = fakeLogic("fuzzing", seed, 100)
    count = scene.GetNumberOfNodes()
    run = logic.segment(*nodes)
    logic.wait(run)
    if run.error is None:
        assert run.nodes.segmentation is not None
    else:
        assert run.error.code == "garbage" and scene.GetNumberOfNodes() == count
    logic.worker.stop()
    logic.worker._command[-3:] = ["good"]
    logic.segmentAndWait(*nodes)  # the next click works


@pytest.mark.slow
@pytest.mark.parametrize("kind, count", [("Segmented", 400), ("Written", 300), ("Probed", 200), ("Failed", 100)])
def test_a_thousand_spoiled_answers_end_in_a_result_or_in_a_sentence(
    openModule, nodes, scene, tmp_path, monkeypatch, kind, count
):
    """Truncated, fields missing, of another type, huge, no numbers, other paths: the panel can be used after each."""
    user = Driver(openModule())
    user.worker("misanswering", 1, 4, kind)
    user.choose(*nodes)
    worklist, number, said, outcomes = user.panel.worklist, 0, [], set()
    segmentations = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    monkeypatch.setattr(user.logic.worker, "_note", said.append)
    while said.count("spoiled") < count:
        number += 1
        if kind in ("Segmented", "Failed"):
            user.click()
            result = user.logic.getParameterNode().resultSegmentation
            outcomes.add(user.status.split(".")[0] if result is None else "result")
            if result is not None:
                for node in [*companions(result), result]:
                    scene.RemoveNode(node)
            assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == segmentations
        elif kind == "Written":
            entry = Entry(path=str(tmp_path / f"{number}.nii.gz"))
            worklist.worklist.entries.append(entry)
            worklist.update()
            user.logic.getParameterNode().worklistOutput = str(tmp_path)
            worklist.start([entry])
            user.wait(lambda: not user.logic.isBusy)
            assert (entry.state == "finished") != bool(entry.error and entry.error.text)
            outcomes.add(str(entry.error))
            worklist.worklist.remove(entry)
        else:
            user.ui.setupCheckButton.click()
            user.wait(lambda: not user.logic.isBusy)
            outcomes.add(user.ui.setupStatusLabel.text)
        assert user.ui.applyButton.enabled and not worklist.isBusy
    assert len(outcomes) >= 2 and (kind == "Failed" or any("not understood" in each for each in outcomes)), outcomes
    user.worker("good")
    user.click()
    assert user.status.startswith("Finished")


def test_two_applications_at_once_do_not_touch_each_others_folders(nodes, fakeLogic, privateTemporaryFolder):
    logics = [fakeLogic("good", 0.5), fakeLogic("good", 0.5)]
    runs = [logic.segment(*nodes) for logic in logics]
    most = 0
    while any(run.isActive for run in runs):
        for logic in logics:
            logic.tick()
        most = max(most, len(folders(privateTemporaryFolder)))
    assert most == 2 and all(run.error is None for run in runs)
    assert folders(privateTemporaryFolder) == []


@pytest.mark.parametrize("section", ["one", "many"])
def test_a_module_that_is_unloaded_while_it_runs_leaves_nothing(openModule, nodes, privateTemporaryFolder, section):
    user = Driver(openModule())
    user.worker("politely")
    user.choose(*nodes)
    if section == "one":
        user.ui.applyButton.click()
    else:
        user.panel.worklist.start(user.panel.worklist.worklist.entries)
    user.wait(lambda: user.logic._run is not None and user.logic._run.state == "running")
    process, count = user.logic.worker._process, slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    user.loaded.unload()
    assert process.poll() is not None and folders(privateTemporaryFolder) == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count
    again = Driver(openModule())
    again.worker("good")
    again.click()
    assert again.status.startswith("Finished")
