"""The command line as a process, with the real pipeline: its files, exit codes, signals, and the worker's labels."""

import contextlib
import csv
import json
import os
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from enginekit import WorkerUnderTest, environment, files_in, phantom, segment_request
from RRLMedSAMEngine import protocol, results, segfile
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.image import Volume, to_sitk

pytest.importorskip("torch", reason="the command line computes with torch")

WIDTH = 68  # characters of the terminal
ATLAS = phantom((36, 34, 38))
TARGET = phantom((38, 36, 34), bend_mm=2.0)
NAME = "Müller, Ä_ö 日本"
NAMES = [
    segfile.Structure(9, "Liver", (0.5, 0.25, 1.0)),
    segfile.Structure(4, "Kidney", (1.0, 0.0, 0.0)),
    segfile.Structure(77, "Not there", (0.0, 1.0, 0.0)),
]


def write(path, array, matrix):
    volume = Volume(array, Geometry(matrix, array.shape))
    sitk.WriteImage(to_sitk(volume), str(path), useCompression=True)


def start(*arguments, **options):
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "RRLMedSAMEngine.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment(), encoding="utf-8", **options)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with an awkward name: atlas.nrrd, atlas.seg.nrrd with names, a target NAME.nii.gz, broken.nii.gz."""
    folder = tmp_path_factory.mktemp("für Zoë 患者")
    image, labels, matrix = ATLAS
    write(folder / "atlas.nrrd", image, matrix)
    segfile.write(Volume(labels, Geometry(matrix, labels.shape)), NAMES, folder / "atlas.seg.nrrd")
    image, _, matrix = TARGET
    write(folder / f"{NAME}.nii.gz", image, matrix)
    whole = (folder / f"{NAME}.nii.gz").read_bytes()
    (folder / "broken.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def common(inputs, *more) -> list:
    return [
        *("--atlas", inputs / "atlas.nrrd", "--atlas-labels", inputs / "atlas.seg.nrrd"),
        *("--target", inputs / f"{NAME}.nii.gz", "--effort", "fast", "--device", "cpu", *more),
    ]


@pytest.fixture(scope="module")
def done(inputs):
    """One run over a good and a broken target: exit code, summary, progress, folder of the good one."""
    output = inputs / "aus gabe"
    process = start(*common(inputs, "--target", inputs / "broken.nii.gz", "--output", output, "--json"))
    summary, progress = process.communicate(timeout=120)
    return process.returncode, json.loads(summary), progress, output / NAME


def read(path):
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    shape = array.shape[:3]
    return array, Geometry.from_parts(image.GetOrigin(), image.GetSpacing(), image.GetDirection(), shape), image


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_one_target_fails_and_the_other_is_done(done):
    code, summary, _, folder = done
    assert code == 1
    good, bad = summary["targets"]
    assert (good["target"], good["output"]) == (NAME, str(folder)) and "error" not in good
    assert bad["target"] == "broken" and bad["output"] is None and bad["error"]["code"] == "bad_input"
    assert files_in(folder.parent) == [NAME, "structures.csv"] and files_in(folder) == sorted(results.FILES)
    with open(folder.parent / "structures.csv", newline="", encoding="utf-8-sig") as file:
        assert {row["target"] for row in csv.DictReader(file)} == {NAME}


def test_progress_goes_to_standard_error(done):
    lines = done[2].splitlines()
    stages = [line.split(": ")[1].split(",")[0] for line in lines if line.startswith(f"1 of 2, {NAME}: ")]
    assert list(dict.fromkeys(stages)) == ["read", "align", "deform", "transfer", "write", "done"]
    assert any(line.startswith("2 of 2, broken: ") for line in lines)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_on_a_terminal_a_bar_says_which_target_of_how_many(inputs, tmp_path):
    import fcntl
    import pty
    import termios

    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    command = [sys.executable, "-m", "RRLMedSAMEngine.cli", *map(str, common(inputs, "--output", tmp_path))]
    command += ["--target", str(inputs / "broken.nii.gz")]
    environ = {name: value for name, value in environment().items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command, stderr=terminal, env=environ)
    os.close(terminal)
    written = b""
    with contextlib.suppress(OSError):  # on Linux the end of a terminal is an error
        while piece := os.read(screen, 4096):
            written += piece
    os.close(screen)
    assert process.wait(60) == 1
    lines = written.decode("utf-8").replace("\r\n", "\n").split("\n")
    pictures = lines[0].split("\r")
    bars = [picture for picture in pictures if "[" in picture]
    assert max(map(len, bars)) == WIDTH - 3  # cut there, else it would wrap; two of the name's characters are wide
    assert all(bar.startswith(f"1 of 2, {NAME}: [") for bar in bars)
    assert [stage in "".join(bars) for stage in ("read", "align", "deform", "transfer", "write")] == [True] * 5
    filled = [bar.count("#") for bar in bars]
    assert filled == sorted(filled) and filled[0] == 0 and filled[-1] == 24
    # The last bar is wiped out before the sentence is written over it.
    assert pictures[-2].isspace() and pictures[-1] == f"1 of 2, {NAME}: done"
    assert lines[1].split("\r")[-1].startswith("2 of 2, broken: The target: ")


def test_the_files_lie_on_their_grids(done):
    target, atlas = Geometry(TARGET[2], TARGET[0].shape), Geometry(ATLAS[2], ATLAS[0].shape)
    for name in results.FILES[:-1]:
        expected = atlas if name == "target_to_atlas.nii.gz" else target
        found, geometry, image = read(done[3] / name)
        assert geometry.matches(expected), name
        if "_to_" in name:
            assert image.GetPixelIDValue() == sitk.sitkVectorFloat32 and found.shape[3] == 3
    assert read(done[3] / "confidence.nii.gz")[0].max() <= 100


def test_the_labels_are_right(done):
    labels, geometry, _ = read(done[3] / "labels.nii.gz")
    assert labels.dtype == ATLAS[1].dtype
    assert set(np.unique(labels)) == set(np.unique(ATLAS[1]))
    for value in (4, 9, 30):
        assert dice(labels == value, TARGET[1] == value) > 0.85
    assert np.array_equal(read(done[3] / "segmentation.seg.nrrd")[0], labels)


def test_the_fields_map_as_itk_takes_them(done):
    """Resampling the atlas's labels with the first field gives the result, and the second field leads back."""
    labels, _, _ = read(done[3] / "labels.nii.gz")
    fields = [
        sitk.DisplacementFieldTransform(sitk.ReadImage(str(done[3] / name), sitk.sitkVectorFloat64))
        for name in ("atlas_to_target.nii.gz", "target_to_atlas.nii.gz")
    ]
    atlas = to_sitk(Volume(ATLAS[1], Geometry(ATLAS[2], ATLAS[1].shape)))
    like = sitk.ReadImage(str(done[3] / "labels.nii.gz"))
    moved = sitk.GetArrayFromImage(sitk.Resample(atlas, like, fields[0], sitk.sitkNearestNeighbor))
    for value in (4, 9, 30):
        assert dice(moved == value, labels == value) > 0.95
    points = Geometry(TARGET[2], TARGET[0].shape).to_lps(np.argwhere(TARGET[1] > 0)[::50, ::-1])
    misses = [
        np.linalg.norm(np.subtract(fields[1].TransformPoint(fields[0].TransformPoint(p)), p)) for p in points.tolist()
    ]
    assert np.mean(misses) < 0.2


def test_the_segmentation_has_the_names_of_the_atlas(done):
    structures = segfile.read_structures(done[3] / "segmentation.seg.nrrd", [])
    assert structures[:3] == NAMES
    assert [s.name for s in structures[3:]] == ["Label 30"]


def test_the_report_says_what_was_done(done):
    report = json.loads((done[3] / "report.json").read_text(encoding="utf-8"))
    assert report == done[1]["targets"][0]["report"]
    assert report["settings"] == {"effort": "fast", "device": "cpu", "model": "auto", "seed": 0}
    assert report["model"] == "instant"
    assert set(report["seconds"]) == {"read", "align", "deform", "transfer", "write"}
    assert report["device"].startswith("CPU") and 0 < report["peak_memory_gb"] < 3
    assert report["folding_percent"] == 0 and report["inverse_consistency_mm"]["mean"] < 0.1
    assert sorted(row["label"] for row in report["structures"]) == [4, 9, 30]
    assert str(done[3].parent) not in json.dumps(report)


def test_the_worker_gives_the_same_labels(done, inputs, tmp_path):
    """With the same geometry, that is as it comes from the files: NIfTI keeps it in single precision."""
    target = (TARGET[0], None, read(inputs / f"{NAME}.nii.gz")[1].voxel_to_lps)
    atlas = (ATLAS[0], ATLAS[1], read(inputs / "atlas.nrrd")[1].voxel_to_lps)
    worker = WorkerUnderTest()
    try:
        worker.send(segment_request(tmp_path, 1, atlas=atlas, target=target))
        answer = worker.last_of(1, 120)
        assert isinstance(answer, protocol.Segmented), answer
        labels = np.load(tmp_path / answer.labels[0].file)
        confidence = np.load(tmp_path / answer.confidence.file)
    finally:
        worker.close()
    assert np.array_equal(labels, read(done[3] / "labels.nii.gz")[0])
    assert np.array_equal(confidence, read(done[3] / "confidence.nii.gz")[0])


def test_an_existing_result_is_not_touched(done, inputs):
    before = {name: (done[3] / name).stat().st_mtime_ns for name in results.FILES}
    process = start(*common(inputs, "--output", done[3].parent))
    _, progress = process.communicate(timeout=60)
    assert process.returncode == 4 and "--overwrite" in progress
    assert before == {name: (done[3] / name).stat().st_mtime_ns for name in results.FILES}


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as POSIX does")
def test_a_disk_that_is_full_stops_the_queue_and_earlier_results_stay(inputs, tmp_path):
    """A limit for each file stands in for the disk: the second target's fields are too large for it."""
    import resource

    image, _, matrix = phantom((80, 70, 60))
    write(tmp_path / "large.nii.gz", image, matrix)
    output = tmp_path / "out"
    more = ("--target", tmp_path / "large.nii.gz", "--target", inputs / "atlas.nrrd", "--output", output, "--json")
    process = start(
        *common(inputs, *more), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))
    )
    summary, progress = process.communicate(timeout=120)
    assert process.returncode == 1
    done, full, unbegun = json.loads(summary)["targets"]
    assert full["error"]["code"] == unbegun["error"]["code"] == "disk_full" and "error" not in done
    assert files_in(output) == [NAME, "structures.csv"] and files_in(output / NAME) == sorted(results.FILES)
    assert progress.count("The disk is full.") == 1 and "the others: not begun" in progress


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_leaves_nothing(inputs, tmp_path, number):
    process = start(*common(inputs, "--output", tmp_path, "--json"))
    while "align" not in process.stderr.readline():
        assert process.poll() is None
    assert len(files_in(tmp_path)) == 1
    process.send_signal(number)
    summary, _ = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert json.loads(summary)["targets"][0]["error"]["code"] == "cancelled"
    assert files_in(tmp_path) == []
