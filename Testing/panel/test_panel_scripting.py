"""The examples of docs/scripting.md run as they stand, one after the other, without a panel."""

import re
from pathlib import Path

import numpy as np
import phantom
import pytest
import slicer
import slicer.util
from driver import fakeCommand
from host import files
from host.events import pump
from RRLMedSAMLib import logic as logicFile
from RRLMedSAMLib.workerprocess import WorkerProcess

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scripting.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SHAPE = (20, 24, 28)


@pytest.fixture
def nodes(scene):
    """Those that the examples ask the scene for."""
    atlas = phantom.volume(scene, "atlas", SHAPE)
    masks = {"liver": phantom.boxes(SHAPE) == 1, "lung": phantom.boxes(SHAPE) == 2}
    phantom.segmentation(scene, "atlas segmentation", masks, atlas, shared=True)
    for seed, name in enumerate(("target", "scan 1", "scan 2"), start=1):
        phantom.volume(scene, name, (18, 26, 30), seed=seed)
    scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "landmarks on the atlas")


@pytest.fixture
def script(nodes, tmp_path, monkeypatch, capsys):
    """Callable: runs the example that has the words, and returns what it printed; its paths are below tmp_path."""
    monkeypatch.setattr(logicFile, "WorkerProcess", lambda: WorkerProcess(fakeCommand("good")))
    monkeypatch.chdir(tmp_path)
    for name in ("data", "models", "targets"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "more scans").mkdir()
    (tmp_path / "data" / "results").mkdir()
    names = {"slicer": slicer}
    ran = set()

    def run(words, isWaitedFor=True):
        (example,) = [each for each in EXAMPLES if words in each]
        ran.add(example)
        code = example.replace('"/data', f'"{tmp_path}/data').replace('"/models', f'"{tmp_path}/models')
        try:
            exec(compile(code, f"{PAGE.name}: {words}", "exec"), names)
            pump(lambda: not isWaitedFor or not names["logic"].isBusy, 20)
            pump()
        except SystemExit as end:
            assert end.code == 0
        return capsys.readouterr().out

    run.names, run.ran = names, ran
    yield run
    if "logic" in names:
        names["logic"].cleanup()


def test_each_example_does_what_the_page_says(script, scene, tmp_path, monkeypatch):
    panels = []
    monkeypatch.setattr(slicer.util, "getModuleGui", panels.append)
    assert script("logic = RRLMedSAMLogic()\natlas = slicer.util.getNode") == "target segmentation target confidence\n"
    nodes = script.names["nodes"]
    script("landmarks")
    assert script.names["landmarks"].GetParentTransformNode() is nodes.atlasToTarget
    assert "id-lung 85.0" in script("readReport")
    printed = script("logic.segment(")
    assert "deform" in printed and "ResultNodes(" in printed and script.names["run"].state == "finished"

    printed = script("logic.segmentFile(")
    assert str(tmp_path / "data" / "results" / "scan 7") in printed and "volume_ml" in printed
    script("Worklist(")
    pump(lambda: not script.names["worklist"].isActive, 20)
    assert [entry.state for entry in script.names["worklist"].entries] == ["finished", "finished"]

    mask = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "id-lung", script.names["target"])
    larger = np.maximum(mask, np.roll(mask, 1, axis=0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(larger, nodes.segmentation, "id-lung", script.names["target"])
    assert script("logic.refine(") == "target refined segmentation\n"

    worker = script.names["logic"].worker
    worker.stop()
    worker._command = fakeCommand("trainer", tmp_path / "models")
    script("logic.adapt(", isWaitedFor=False)
    task = script.names["task"]
    pump(lambda: task.picture is not None, 20)
    assert task.losses and task.picture.ndim == 3
    script.names["logic"].cancel()
    pump(lambda: not script.names["logic"].isBusy, 20)
    assert task.error.code == "cancelled" and (tmp_path / "models" / "mine.rrl.unfinished").is_dir()

    script.names["logic"].cleanup()
    headless(script, scene, tmp_path, monkeypatch)
    assert script.ran == set(EXAMPLES) and panels == []


def headless(script, scene, folder, monkeypatch):
    """The example that is a program: `slicer.util` gets what it has in the application, by the host's readers."""
    for name, load in (("loadVolume", files.loadVolume), ("loadSegmentation", files.loadSegmentation)):
        monkeypatch.setattr(slicer.util, name, load)
    saved = []
    monkeypatch.setattr(slicer.util, "saveNode", lambda node, path: saved.append((node.GetClassName(), path)))
    for name, path in (("atlas", "atlas.nii.gz"), ("target", "targets/one.nii.gz"), ("scan 1", "targets/two.nii.gz")):
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(folder / path))
        storage.WriteData(slicer.util.getNode(name))
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(folder / "atlas.seg.nrrd"))
    storage.WriteData(slicer.util.getNode("atlas segmentation"))
    scene.Clear(False)
    scene.SetRootDirectory(str(folder))  # as the example's working folder
    script("glob.glob")
    expected = [f"targets/{name}{end}" for name in ("one", "two") for end in (".seg.nrrd", "-atlas-to-target.h5")]
    assert sorted(path for _class, path in saved) == sorted(expected)
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 1  # the atlas
