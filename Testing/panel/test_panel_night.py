"""A night of targets with the real worker: memory, kills, cancels, and two applications that share an output folder."""

import csv
import glob
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import phantom
import pytest
import slicer
import smallcase
from driver import Driver
from host.events import pump
from RRLMedSAMEngine import results
from RRLMedSAMLib import worklistview
from RRLMedSAMLib.exchange import PREFIX

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="looks for processes and their memory in /proc"),
]

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def privateTemporaryFolder(tmp_path, monkeypatch):
    """For exchange folders. One thread: a second one costs more in waiting than it computes, on so small volumes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


@pytest.fixture
def user(openModule, scene):
    """The user of a panel with the real worker, an atlas chosen."""
    user = Driver(openModule())
    user.ui.effortComboBox.setCurrentIndex(0)
    user.ui.deviceComboBox.setCurrentIndex(1)
    user.choose(*smallcase.addAtlas(scene))
    user.ui.worklistCollapsibleButton.collapsed = False
    pump()
    return user


@pytest.fixture
def addTargets(user, tmp_path):
    """Callable: adds so many files to the list; returns its entries and the output folder."""

    def add(count):
        output = tmp_path / "results"
        output.mkdir()
        smallcase.writeTargets(tmp_path / "scans", [f"{number:02}" for number in range(1, count + 1)])
        user.panel.worklist.addFolder(str(tmp_path / "scans"))
        user.ui.worklistOutputEdit.setText(str(output))
        pump()
        return user.panel.worklist.worklist.entries, output

    return add


def residentMb(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def workers():
    """The process IDs of living workers that this process has started."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            state, parent = Path(path).read_text().rpartition(")")[2].split()[:2]
            command = Path(path).with_name("cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != "Z" and "RRLMedSAMEngine.worker" in command:
            found.append(int(path.split("/")[2]))
    return found


def test_memory_stays_flat_over_thirty_files(user, addTargets):
    """Of the worker and of the application; what the first targets need is kept. ``-s`` shows it."""
    entries, output = addTargets(30)
    sizes = {"worker": [], "application": []}

    def measure():
        finished = sum(entry.state == "finished" for entry in entries)
        if finished > len(sizes["worker"]):
            sizes["worker"].append(residentMb(user.logic.worker._process.pid))
            sizes["application"].append(residentMb(os.getpid()))
        return not user.panel.worklist.isBusy

    user.ui.worklistButton.click()
    user.wait(measure, 300)
    assert [entry.state for entry in entries] == ["finished"] * 30
    for name, measured in sizes.items():
        print(f"{name}: after 5 targets {measured[4]:.0f} MB, after 30 {measured[-1]:.0f} MB")
        assert len(measured) == 30 and max(measured[20:]) < max(measured[5:10]) + 15, (name, measured)


def test_a_worker_killed_at_random_moments_costs_its_target_alone(user, addTargets):
    """Results are whole and right, or not there; a killed worker's hidden folder is not there either."""
    entries, output = addTargets(16)
    chance = random.Random(1)
    user.ui.worklistButton.click()
    user.wait(lambda: entries[0].state == "finished", 60)
    expected = smallcase.labelsIn(output / "01")
    end, killed = time.monotonic() + 40, 0
    while user.panel.worklist.isBusy:
        process = user.logic.worker._process
        moment = time.monotonic() + chance.uniform(0.0, 3.5)  # loading PyTorch takes the first one or two
        pump(lambda moment=moment: time.monotonic() > moment or not user.panel.worklist.isBusy)
        if time.monotonic() < end and process is not None and process.poll() is None:
            process.kill()
            killed += 1
    print(f"{killed} kills")
    states = [entry.state for entry in entries]
    assert killed >= 3 and states.count("failed") >= 1 and set(states) == {"finished", "failed"}, (killed, states)
    whole = sorted(results.FILES)
    for entry in entries:
        folder = output / entry.name
        assert entry.state == "finished" or (entry.error.text and entry.error.action)
        # Killed between the last rename and the answer, a failed target has its result, too.
        if entry.state == "finished" or folder.exists():
            assert sorted(os.listdir(folder)) == whole and np.array_equal(smallcase.labelsIn(folder), expected)
    assert not [name for name in os.listdir(output) if name.endswith(".part") and "structures" not in name]
    with open(output / "structures.csv", newline="", encoding="utf-8-sig") as file:
        listed = {row["target"] for row in csv.DictReader(file)}
    assert {entry.name for entry in entries if entry.state == "finished"} <= listed


@pytest.mark.parametrize("way", ["one", "list"])
def test_cancel_at_twenty_random_moments_leaves_nothing(
    user, addTargets, scene, privateTemporaryFolder, monkeypatch, way
):
    """The worker stays warm by design where it ends the run within 1.5 s; it is ended with the application."""
    # What was finished before a cancel is replaced: the list asks, and nobody is there to click.
    monkeypatch.setattr(worklistview, "chosenAnswer", lambda _widget, _question, answers: answers[-1])
    chance = random.Random(2)
    user.ui.targetSelector.setCurrentNode(phantom.volume(scene, "target", array=smallcase.image(4.0)[0]))
    if way == "list":
        entries, output = addTargets(3)
        button, cancel = user.ui.worklistButton, user.ui.worklistCancelButton
    else:
        button, cancel = user.ui.applyButton, user.ui.cancelButton
    count, length = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 1.5
    user.logic.probe()
    user.wait(lambda: not user.logic.isBusy, 60)
    user.panel.update()
    cancelled = 0
    while cancelled < 20:
        button.click()
        moment = time.monotonic() + chance.uniform(0.0, length)
        user.wait(lambda moment=moment: time.monotonic() > moment or not user.logic.isBusy)
        if not user.logic.isBusy:  # it was quicker
            length *= 0.8
        else:
            asked = time.monotonic()
            cancel.click()
            user.wait(lambda: not user.logic.isBusy)
            assert time.monotonic() - asked < 2.0
            cancelled += 1
        assert list(privateTemporaryFolder.rglob(f"{PREFIX}*")) == []
        assert len(workers()) <= 1
        if way == "list":
            assert not user.panel.worklist.isBusy
            finished = {entry.name for entry in entries if entry.state == "finished"}
            assert {name for name in os.listdir(output) if name.startswith(".")} == set()
            assert finished <= set(os.listdir(output))
    assert workers() == [user.logic.worker._process.pid]
    user.logic.cleanup()
    assert workers() == []
    assert way == "one" or scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count


def test_two_applications_share_an_output_folder(tmp_path, privateTemporaryFolder):
    """Each with targets of its own, and one that both have: it is written once, and whole."""
    output, pipe, processes = tmp_path / "results", subprocess.PIPE, []
    output.mkdir()
    paths = [HERE.parents[1] / "RRLMedSAM", HERE.parent, os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "TMPDIR": str(privateTemporaryFolder)}
    for name in "ab":
        scans = tmp_path / name
        smallcase.writeTargets(scans, ["0 shared", *[f"{name}{number}" for number in range(1, 4)]])
        command = [sys.executable, str(HERE / "smallcase.py"), str(scans), str(output)]
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, encoding="utf-8"))
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    told = {}
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        found = json.loads(process.communicate(timeout=120)[0].splitlines()[-1])
        told.setdefault("0 shared", []).append(found.pop("0 shared"))
        told.update(found)
    assert sorted(told.pop("0 shared")) == ["exists", "finished"]
    assert set(told.values()) == {"finished"} and len(told) == 6
    names = sorted([*told, "0 shared"])
    assert sorted(os.listdir(output)) == [*names, "structures.csv"]
    for name in names:
        assert sorted(os.listdir(output / name)) == sorted(results.FILES)
    with open(output / "structures.csv", newline="", encoding="utf-8-sig") as file:
        listed = [row["target"] for row in csv.DictReader(file)]
    assert sorted(listed) == sorted(names * 2)  # two structures each, no line lost or twice
    assert list(privateTemporaryFolder.rglob(f"{PREFIX}*")) == []
