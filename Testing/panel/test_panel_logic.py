"""Runs on real nodes and a real process that only plays the engine: states, results, interruptions."""

import os
import time

import numpy as np
import phantom
import pytest
import slicer
import slicer.util
from phantom import boxes
from RRLMedSAMLib import exchange, labelnodes
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.resultnodes import companions, readReport
from RRLMedSAMLib.scene import removeWithDisplay

SHAPE = (20, 24, 28)
TERMINOLOGY = "Segmentation category and type~SCT^123037004^Anatomical Structure~^^~^^~^^~^^~"


@pytest.fixture(autouse=True)
def ownTemporaryFolder(tmp_path, monkeypatch):
    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    yield
    assert not list(tmp_path.glob(exchange.PREFIX + "*")), "an exchange folder was left behind"


@pytest.fixture
def nodes(scene):
    """(atlas volume, atlas segmentation, target); the atlas has overlapping, empty and hidden segments."""
    atlas = phantom.volume(scene, "atlas", SHAPE)
    labels = boxes(SHAPE)
    tumour = (labels == 1) & (np.arange(28) < 4)
    masks = {"liver": labels == 1, "nothing": labels == 9, "tumour": tumour, "lung": labels == 2}
    segmentation = phantom.segmentation(scene, "atlas segmentation", masks, atlas)
    segmentation.GetDisplayNode().SetSegmentVisibility("id-lung", False)
    segmentation.GetSegmentation().GetSegment("id-liver").SetTag("TerminologyEntry", TERMINOLOGY)
    segmentation.GetSegmentation().GetSegment("id-liver").SetTag("Segmentation.Status", "completed")
    target = phantom.volume(scene, "Müller^Jürgen", (18, 26, 30), seed=1)
    return atlas, segmentation, target


def sceneNodes(scene):
    return {scene.GetNthNode(n).GetID(): scene.GetNthNode(n).GetMTime() for n in range(scene.GetNumberOfNodes())}


def drive(logic, run, isEnough=lambda run: False, seconds=20):
    end = time.monotonic() + seconds
    while run.isActive and not isEnough(run):
        assert time.monotonic() < end, f"still {run.state}"
        logic.tick()
        time.sleep(0.005)


# ---------------------------------------------------------------- results


def test_the_segments_are_the_atlass_in_all_but_place(nodes, goodLogic):
    atlasSegmentation, target = nodes[1:]
    result = goodLogic.segmentAndWait(*nodes).segmentation
    segmentation, expected = result.GetSegmentation(), atlasSegmentation.GetSegmentation()
    assert segmentation.GetSegmentIDs() == expected.GetSegmentIDs()
    for segmentId in segmentation.GetSegmentIDs():
        found, original = segmentation.GetSegment(segmentId), expected.GetSegment(segmentId)
        assert found.GetName() == original.GetName()
        assert found.GetColor() == original.GetColor()
        assert result.GetDisplayNode().GetSegmentVisibility(segmentId) == (segmentId != "id-lung")
    assert segmentation.GetSegment("id-liver").GetTerminology() == TERMINOLOGY
    assert not segmentation.GetSegment("id-liver").HasTag("Segmentation.Status")
    assert expected.GetSegment("id-liver").HasTag("Segmentation.Status")
    # One image for each layer, not for each segment.
    assert segmentation.GetNumberOfLayers() == 2
    reference = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert result.GetNodeReference(reference) is target
    assert segmentation.GetConversionParameter("Reference image geometry")


def test_segments_can_be_edited_each_on_its_own(nodes, goodLogic):
    target = nodes[2]
    result = goodLogic.segmentAndWait(*nodes).segmentation
    before = slicer.util.arrayFromSegmentBinaryLabelmap(result, "id-lung", target)
    mask = np.zeros((18, 26, 30), np.uint8)
    mask[3:6] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, result, "id-nothing", target)
    assert np.array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(result, "id-nothing", target), mask)
    after = slicer.util.arrayFromSegmentBinaryLabelmap(result, "id-lung", target)
    assert before.any() and np.array_equal(after, before)


def test_results_are_named_after_the_target_and_never_replace_one_another(nodes, goodLogic):
    first, second = goodLogic.segmentAndWait(*nodes), goodLogic.segmentAndWait(*nodes)
    assert [node.GetName() for node in first.all()] == [
        f"Müller^Jürgen {suffix}" for suffix in ("segmentation", "atlas to target", "target to atlas", "confidence")
    ]
    names = [node.GetName() for node in first.all() + second.all()]
    assert len(set(names)) == 8


def test_provenance_names_no_patient(nodes, goodLogic):
    atlas, atlasSegmentation, target = nodes
    atlas.SetName("Schmidt^Anna")
    result = goodLogic.segmentAndWait(*nodes, effort="fast", seed=5)
    for node in result.all():
        attributes = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}
        assert attributes["RRLMedSAM.effort"] == "fast" and attributes["RRLMedSAM.seed"] == "5"
        assert attributes["RRLMedSAM.version"] == "0.0"
        assert node.GetNodeReference("RRLMedSAM.atlasVolume") is atlas
        assert node.GetNodeReference("RRLMedSAM.atlasSegmentation") is atlasSegmentation
        assert node.GetNodeReference("RRLMedSAM.target") is target
        assert not any("Schmidt" in value or "Müller" in value for value in attributes.values())
    transform = result.atlasToTarget
    assert transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) is target
    assert transform.GetNodeReference(transform.GetMovingNodeReferenceRole()) is atlas
    transform = result.targetToAtlas
    assert transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) is atlas
    assert transform.GetNodeReference(transform.GetMovingNodeReferenceRole()) is target


def test_the_report_stays_with_the_segmentation_and_speaks_of_its_segments(nodes, goodLogic):
    result = goodLogic.segmentAndWait(*nodes)
    report = readReport(result.segmentation)
    assert [row["segment"] for row in report["structures"]] == ["id-liver", "id-lung", "id-tumour"]
    assert companions(result.segmentation) == result.all()[1:]
    assert readReport(nodes[1]) is None


def test_the_report_survives_saving_the_scene(nodes, goodLogic, scene):
    report = readReport(goodLogic.segmentAndWait(*nodes).segmentation)
    scene.SetSaveToXMLString(True)
    scene.Commit()
    scene.SetSaveToXMLString(False)
    copy = slicer.vtkMRMLScene()
    for name in ("Segmentation", "SegmentationDisplay", "SegmentationStorage"):
        copy.RegisterNodeClass(getattr(slicer, f"vtkMRML{name}Node")())
    copy.SetSceneXMLString(scene.GetSceneXMLString())
    copy.SetLoadFromXMLString(True)
    copy.Import()
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode", copy)
    assert report in [readReport(node) for node in segmentations]


def test_results_lie_beside_the_target_in_the_subject_hierarchy(nodes, goodLogic, scene):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, nodes[2])
    for node in goodLogic.segmentAndWait(*nodes).all():
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_results_lie_at_the_top_where_the_target_has_no_item(nodes, goodLogic, scene):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert not hierarchy.GetItemByDataNode(nodes[2])
    for node in goodLogic.segmentAndWait(*nodes).all():
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == hierarchy.GetSceneItemID()


def test_a_run_changes_nothing_that_was_there(nodes, goodLogic, scene):
    goodLogic.segmentAndWait(*nodes)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene).GetID()
    before = sceneNodes(scene)
    images = [node.GetImageData().GetMTime() for node in (nodes[0], nodes[2])]
    layers = nodes[1].GetSegmentation().GetMTime()
    result = goodLogic.segmentAndWait(*nodes)
    after = sceneNodes(scene)
    assert {key: value for key, value in after.items() if key in before and key != hierarchy} == {
        key: value for key, value in before.items() if key != hierarchy
    }
    assert [node.GetImageData().GetMTime() for node in (nodes[0], nodes[2])] == images
    assert nodes[1].GetSegmentation().GetMTime() == layers
    # Deleting the new nodes undoes the run.
    for node in result.all():
        removeWithDisplay(node)
    assert set(sceneNodes(scene)) == set(before)


def test_a_label_map_serves_as_atlas_segmentation(nodes, goodLogic, scene):
    labels = phantom.volume(scene, "labels", array=boxes(SHAPE), className="vtkMRMLLabelMapVolumeNode")
    result = goodLogic.segmentAndWait(nodes[0], labels, nodes[2]).segmentation
    assert result.GetSegmentation().GetSegmentIDs() == ("Segment_1", "Segment_2", "Segment_3")


def test_a_renamed_target_gives_its_new_name(nodes, fakeLogic):
    logic = fakeLogic("good", 0.3)
    run = logic.segment(*nodes)
    drive(logic, run, lambda run: run.state == "running")
    nodes[2].SetName("renamed")
    drive(logic, run)
    assert run.nodes.segmentation.GetName() == "renamed segmentation"


def test_progress_grows_and_carries_stage_time_and_warnings(nodes, fakeLogic):
    seen = []
    logic = fakeLogic("good", 0.2)
    run = logic.segment(*nodes, onProgress=lambda run: seen.append((run.stage, run.fraction, run.secondsLeft)))
    assert seen == [("prepare", 0.0, None)]  # at once
    drive(logic, run)
    fractions = [fraction for _stage, fraction, _left in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(stage == "align" and left == 2.0 for stage, _fraction, left in seen)
    assert run.warnings == ["This is a warning."]


def test_the_second_run_uses_the_warm_worker(nodes, fakeLogic):
    logic = fakeLogic()
    logic.segmentAndWait(*nodes)
    pid = logic.worker._process.pid
    logic.segmentAndWait(*nodes)
    assert logic.worker._process.pid == pid


def test_a_tick_never_blocks_for_long(scene, goodLogic):
    shape = (200, 200, 200)
    array = np.random.default_rng(0).integers(0, 2000, shape).astype(np.int16)
    atlas, target = (phantom.volume(scene, name, array=array) for name in ("a", "t"))
    labels = (np.arange(200)[:, None, None] // 2 + np.zeros(shape, np.uint8)).astype(np.uint8)
    node = phantom.volume(scene, "l", array=labels, className="vtkMRMLLabelMapVolumeNode")
    run = goodLogic.segment(atlas, node, target)
    longest = 0.0
    while run.isActive:
        start = time.monotonic()
        goodLogic.tick()
        longest = max(longest, time.monotonic() - start)
        time.sleep(0.002)
    assert run.nodes is not None
    assert longest < 0.1 * 2  # twice the limit: the tests' machine is shared


# ---------------------------------------------------------------- interruptions


def interrupted(logic, run, scene, before):
    """The error of a run that was interrupted; nothing of it is left."""
    failures = []
    logic._callbacks["failed"] = failures.append
    drive(logic, run)
    assert failures == [run] and run.nodes is None
    assert not logic.isBusy
    assert set(sceneNodes(scene)) <= before
    return run.error


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("dying", "died"),
        ("garbage", "garbage"),
        ("otherversion", "garbage"),
        ("mute", "cannot_start"),
        ("notorch", "no_torch"),
        ("liar", "internal"),
    ],
)
def test_a_failure_is_told_and_the_next_click_works(nodes, fakeLogic, scene, behaviour, code):
    logic = fakeLogic(behaviour)
    before = set(sceneNodes(scene))
    error = interrupted(logic, logic.segment(*nodes), scene, before)
    assert error.code == code
    assert error.text.endswith(".") and error.action.endswith(".")
    logic.worker.stop()
    logic.worker._command[-1] = "good"
    assert logic.segmentAndWait(*nodes).segmentation


def test_a_silent_worker_is_told_of(nodes, fakeLogic, scene):
    logic = fakeLogic("hanging")
    logic.worker.silenceSeconds = 0.5
    error = interrupted(logic, logic.segment(*nodes), scene, set(sceneNodes(scene)))
    assert error.code == "hanging" and "did not answer" in error.text


def test_a_worker_that_cannot_be_started_is_told_of(nodes, fakeLogic, scene):
    logic = fakeLogic()
    logic.worker._command = ["/nowhere/python"]
    error = interrupted(logic, logic.segment(*nodes), scene, set(sceneNodes(scene)))
    assert error.code == "cannot_start"


@pytest.mark.parametrize("behaviour", ["politely", "deaf"])
def test_cancel_ends_the_run_within_two_seconds(nodes, fakeLogic, scene, behaviour):
    logic = fakeLogic(behaviour)
    before = set(sceneNodes(scene))
    run = logic.segment(*nodes)
    drive(logic, run, lambda run: run.state == "running" and (run.stage == "deform" or run.warnings))
    start = time.monotonic()
    logic.cancel()
    logic.cancel()
    assert run.isStopping
    assert interrupted(logic, run, scene, before).code == "cancelled"
    assert run.state == "cancelled"
    assert time.monotonic() - start < 2
    assert logic.worker.isRunning == (behaviour == "politely")  # the obedient one stays warm


def test_cancel_before_the_worker_started(nodes, fakeLogic, scene):
    logic = fakeLogic()
    run = logic.segment(*nodes)
    logic.cancel()
    assert interrupted(logic, run, scene, set(sceneNodes(scene))).code == "cancelled"
    assert not logic.worker.isRunning


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("state", ["preparing", "running"])
def test_an_input_deleted_during_the_run_ends_it(nodes, fakeLogic, scene, which, state):
    logic = fakeLogic("politely")
    run = logic.segment(*nodes)
    drive(logic, run, lambda run: run.state == state)
    before = set(sceneNodes(scene))
    scene.RemoveNode(nodes[which])
    error = interrupted(logic, run, scene, before)
    assert error.code == "input_missing"
    assert ("atlas volume", "atlas segmentation", "target volume")[which] in error.text


def test_a_closed_scene_ends_the_run(nodes, fakeLogic, scene):
    logic = fakeLogic("politely")
    run = logic.segment(*nodes)
    drive(logic, run, lambda run: run.state == "running")
    scene.Clear(False)
    assert interrupted(logic, run, scene, set(sceneNodes(scene))).code == "input_missing"


def changeVoxels(target):
    slicer.util.arrayFromVolume(target)[:] += 1
    slicer.util.arrayFromVolumeModified(target)


def changePlace(target):
    target.SetOrigin(1, 2, 3)


def changeImage(target):
    slicer.util.updateVolumeFromArray(target, np.zeros((5, 6, 7), np.int16))


@pytest.mark.parametrize("change", [changeVoxels, changePlace, changeImage])
def test_a_target_changed_during_the_run_ends_it(nodes, fakeLogic, scene, change):
    logic = fakeLogic("politely")
    before = set(sceneNodes(scene))
    run = logic.segment(*nodes)
    drive(logic, run, lambda run: run.state == "running")
    change(nodes[2])
    assert interrupted(logic, run, scene, before).code == "target_changed"


def test_looking_at_the_target_is_no_change(nodes, fakeLogic):
    logic = fakeLogic("good", 0.2)
    run = logic.segment(*nodes)
    nodes[2].GetImageData().GetScalarRange()
    nodes[2].GetDisplayNode().SetWindowLevel(10, 20)
    nodes[2].GetDisplayNode().SetAutoWindowLevel(True)
    nodes[2].SetAndObserveTransformNodeID(None)
    drive(logic, run)
    assert run.error is None


def test_an_error_while_adding_leaves_no_node(nodes, fakeLogic, scene, monkeypatch):
    monkeypatch.setattr(labelnodes, "placeBeside", lambda node, sibling: 1 / 0)
    logic = fakeLogic()
    before = set(sceneNodes(scene))
    run = logic.segment(*nodes)
    with pytest.raises(ZeroDivisionError):
        drive(logic, run)
    assert run.error.code == "internal" and "ZeroDivisionError" in run.error.text
    assert set(sceneNodes(scene)) == before
    assert not logic.isBusy


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_of(nodes, fakeLogic, scene, monkeypatch):
    monkeypatch.setattr(exchange.ExchangeFolder, "file", lambda self, name: "/dev/full")
    logic = fakeLogic()
    error = interrupted(logic, logic.segment(*nodes), scene, set(sceneNodes(scene)))
    assert error.code == "disk_full"


def test_one_run_at_a_time(nodes, fakeLogic):
    logic = fakeLogic("politely")
    logic.segment(*nodes)
    with pytest.raises(RuntimeError):
        logic.segment(*nodes)


def test_unknown_settings_raise(nodes, fakeLogic):
    for settings in ({"effort": "heroic"}, {"device": "abacus"}):
        with pytest.raises(ValueError, match="must be one of"):
            fakeLogic().segment(*nodes, **settings)


def test_unusable_nodes_raise_before_anything_starts(nodes, fakeLogic):
    logic = fakeLogic()
    with pytest.raises(RunError):
        logic.segment(nodes[0], nodes[1], nodes[0])
    assert not logic.isBusy and not logic.worker.isRunning


def test_cleanup_during_a_run_ends_worker_and_folder(nodes, fakeLogic):
    logic = fakeLogic("deaf")
    run = logic.segment(*nodes)
    drive(logic, run, lambda run: bool(run.warnings))
    logic.cleanup()
    assert not logic.worker.isRunning and not logic.isBusy and run.state == "cancelled"


def test_cleanup_takes_back_the_files_of_the_worker_that_it_ends(nodes, fakeLogic, scene, tmp_path):
    labels = phantom.volume(scene, "labels", array=boxes(SHAPE), className="vtkMRMLLabelMapVolumeNode")
    logic = fakeLogic("claiming")
    results = tmp_path / "results"
    results.mkdir()
    run = logic.segmentFile(nodes[0], labels, str(tmp_path / "target.nrrd"), str(results))
    drive(logic, run, lambda run: bool(run.warnings))
    assert os.path.exists(run.warnings[0])
    logic.cleanup()
    assert run.state == "cancelled" and os.listdir(results) == []
