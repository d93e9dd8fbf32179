"""Files of a result: NIfTI as SimpleITK reads it, segmentations as Slicer reads them."""

import gzip
import json
import os
import stat
import subprocess
import sys
import types

import numpy as np
import pytest
import SimpleITK as sitk
from enginekit import environment
from RRLMedSAMEngine import exchange, files, nifti, results, segfile, summary
from RRLMedSAMEngine.errors import Cancelled, EngineError, WritingError
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.image import Volume

SHAPE = (5, 6, 7)


def rotation(seed: int, is_left_handed=False) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q *= np.sign(np.linalg.det(q))
    return q @ np.diag([1, -1, 1]) if is_left_handed else q


DIRECTIONS = [np.diag(signs) for signs in ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1), (1, 1, -1), (-1, -1, -1))]
DIRECTIONS += [rotation(seed, seed % 2 == 1) for seed in range(6)]


def ignore():
    pass


def in_slicer(path):
    """The segmentation node that Slicer's own reader makes of the file, and its scene."""
    slicer = pytest.importorskip("slicer", reason="Slicer's reader of segmentations is in slicer-core")
    scene = slicer.vtkMRMLScene()
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node, scene


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_nifti_has_the_geometry(tmp_path, direction):
    geometry = Geometry.from_parts([100.5, -20.25, 30], [0.7, 1.3, 2.5], direction, SHAPE)
    array = np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32)
    nifti.write(tmp_path / "v.nii.gz", array, geometry, ignore)
    image = sitk.ReadImage(str(tmp_path / "v.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(image), array)
    found = Geometry.from_parts(image.GetOrigin(), image.GetSpacing(), image.GetDirection(), SHAPE)
    assert np.allclose(found.voxel_to_lps, geometry.voxel_to_lps, atol=2e-5)


@pytest.mark.parametrize("kind", sorted(nifti.CODES))
def test_nifti_keeps_the_values(tmp_path, kind):
    array = (np.arange(np.prod(SHAPE)).reshape(SHAPE) - (100 if kind.startswith(("i", "f")) else 0)).astype(kind)
    nifti.write(tmp_path / "a.nii.gz", array, Geometry(np.eye(4), SHAPE), ignore)
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")))
    assert found.dtype == array.dtype and np.array_equal(found, array)


def test_the_same_result_gives_the_same_bytes(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        nifti.write(tmp_path / name, np.ones(SHAPE, np.uint8), Geometry(np.eye(4), SHAPE), ignore)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_cut_off_is_noticed(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.random.default_rng(0).normal(size=SHAPE)), str(path))
    assert nifti.is_whole(path)
    whole = path.read_bytes()
    for length in (len(whole) - 20, len(whole) // 2, 100 if suffix == ".nii.gz" else 360):
        path.write_bytes(whole[:length])
        assert not nifti.is_whole(path)


def test_whole_files_of_all_kinds_pass(tmp_path):
    nifti.write(tmp_path / "a.nii.gz", np.zeros((*SHAPE, 3), np.float32), Geometry(np.eye(4), SHAPE), ignore)
    written = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "plain.nii.gz").write_bytes(written)
    (tmp_path / "parts.nii.gz").write_bytes(gzip.compress(written[:500]) + gzip.compress(written[500:]))
    (tmp_path / "other.nrrd").write_bytes(b"NRRD0004")
    for name in ("a.nii.gz", "plain.nii.gz", "parts.nii.gz", "other.nrrd", "missing.nii", "."):
        assert nifti.is_whole(tmp_path / name), name


TERMS = (
    "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical "
    "Structure~SCT^64033007^Kidney~SCT^7771000^Left~Anatomic codes - DICOM master list~^^~^^|"
)
STRUCTURES = [
    segfile.Structure(300, "Niere für Zoë", (1.0, 0.5, 0.25), TERMS),
    segfile.Structure(2, "Empty", (0.0, 1.0, 0.0)),
    segfile.Structure(-3, "Below zero", (0.0, 0.0, 1.0)),
]


@pytest.fixture
def segmentation(tmp_path):
    """The path of a segmentation, and its label map."""
    labels = np.zeros(SHAPE, np.int64)
    labels[1:3, 2:5, 3:6] = 300
    labels[4, 5, 6] = -3
    volume = Volume(labels, Geometry.from_parts([10, -20, 30], [0.7, 1.3, 2.5], rotation(2), SHAPE))
    segfile.write(volume, STRUCTURES, tmp_path / "s.seg.nrrd")
    return tmp_path / "s.seg.nrrd", volume


def test_structures_are_read_back(segmentation):
    path, volume = segmentation
    assert segfile.read_structures(path, [300, 2, -3]) == STRUCTURES
    more = segfile.read_structures(path, [7])
    assert more[:3] == STRUCTURES and (more[3].label, more[3].name) == (7, "Label 7")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), volume.array)


def test_slicer_reads_the_segmentation(segmentation):
    path, volume = segmentation
    node, _scene = in_slicer(path)
    vtk_to_numpy = pytest.importorskip("vtk.util.numpy_support").vtk_to_numpy
    found = node.GetSegmentation()
    assert found.GetNumberOfSegments() == 3
    for n, structure in enumerate(STRUCTURES):
        segment = found.GetNthSegment(n)
        assert segment.GetName() == structure.name
        assert np.allclose(segment.GetColor(), structure.colour, atol=1e-5)
        assert segment.GetLabelValue() == structure.label
        image = segment.GetRepresentation("Binary labelmap")
        array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        assert np.array_equal(array == structure.label, volume.array == structure.label)
        lps_to_ras = np.diag([-1.0, -1.0, 1.0])
        assert np.allclose(image.GetOrigin(), lps_to_ras @ volume.geometry.origin)
        assert np.allclose(image.GetSpacing(), volume.geometry.spacing)


def test_labels_without_names_get_names_and_distinct_colours(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones(SHAPE, np.uint8)), str(tmp_path / "l.nii.gz"))
    structures = segfile.read_structures(tmp_path / "l.nii.gz", range(1, 201))
    assert [s.name for s in structures] == [f"Label {n}" for n in range(1, 201)]
    colours = np.array([s.colour for s in structures])
    assert colours.min() >= 0 and colours.max() <= 1
    for first in range(190):
        near = np.abs(colours[first : first + 6, None] - colours[None, first : first + 6]).max(-1)
        assert near[~np.eye(6, dtype=bool)].min() > 0.1


def test_a_segmentation_is_written_where_it_stays(tmp_path, monkeypatch):
    """In a folder for one user alone Windows gives it rights that it keeps when it is moved."""
    written, real = [], sitk.WriteImage

    def write(image, path, **options):
        written.append(os.path.split(path))
        real(image, path, **options)

    monkeypatch.setattr(sitk, "WriteImage", write)
    volume = stub_result().labels[0]
    segfile.write(volume, STRUCTURES, tmp_path / "s.seg.nrrd")
    ((folder, name),) = written
    assert folder == str(tmp_path) and name.startswith(".") and name.endswith(".seg.nrrd")
    assert os.listdir(tmp_path) == ["s.seg.nrrd"]


def test_a_segmentation_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def write(image, path, **options):
        with open(path, "wb") as file:
            file.write(b"half")
        raise RuntimeError("ITK's word")

    monkeypatch.setattr(sitk, "WriteImage", write)
    (tmp_path / "s.seg.nrrd").write_text("old")
    with pytest.raises(WritingError):
        segfile.write(stub_result().labels[0], STRUCTURES, tmp_path / "s.seg.nrrd")
    assert os.listdir(tmp_path) == ["s.seg.nrrd"] and (tmp_path / "s.seg.nrrd").read_text() == "old"


# ------------------------------------------------------------ files that another program looks at


@pytest.fixture
def refusals(monkeypatch):
    """Windows, in part: sets how often each file and folder may not be moved or removed; lists what was tried."""

    def patch(times):
        tried = []

        def refusing(real):
            def act(source, *target, **options):
                tried.append((real.__name__, os.fspath(source)))
                if os.path.exists(source) and tried.count(tried[-1]) <= times:
                    raise PermissionError(13, "a virus scanner looks at it")
                real(source, *target, **options)

            return act

        for act in (os.replace, os.unlink):
            monkeypatch.setattr(os, act.__name__, refusing(act))
        return tried

    monkeypatch.setattr(files, "PATIENCE", 2.0)
    return patch


def write_result(folder, overwrite=False):
    result = stub_result()
    with results.appearing(folder, overwrite) as temporary:
        results.write(temporary, result, result.labels[0], result.labels[0], STRUCTURES, ignore)


def write_array(folder):
    with exchange.Outputs(str(folder), lambda: False) as outputs:
        outputs.write("a.npy", np.zeros(SHAPE))


def write_whole(path):
    with files.replacing(path) as part:
        part.write_text("whole")


WRITERS = {
    "case": lambda folder: write_result(folder / "case"),
    "s.seg.nrrd": lambda folder: segfile.write(stub_result().labels[0], STRUCTURES, folder / "s.seg.nrrd"),
    summary.FILE: lambda folder: summary.add(folder / summary.FILE, "a", {"structures": []}),
    "a.npy": write_array,
    "model.rrl": lambda folder: write_whole(folder / "model.rrl"),
}


@pytest.fixture(params=WRITERS)
def writer(request):
    """What writes something into a folder, and the name it gives it."""
    if request.param == "model.rrl":
        pytest.importorskip("safetensors", reason="models are written with safetensors")
    return WRITERS[request.param], request.param


def test_what_is_looked_at_for_a_moment_is_moved_afterwards(tmp_path, refusals, writer):
    write, name = writer
    tried = refusals(2)
    write(tmp_path)
    # The lock beside the table is an empty file that nobody but its owner removes, now or the next time.
    assert [each for each in os.listdir(tmp_path) if not each.endswith(".lock")] == [name]
    assert max(map(tried.count, tried)) == 3


def test_what_stays_held_is_an_error_in_the_user_s_words(tmp_path, refusals, writer, monkeypatch):
    write, _name = writer
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    refusals(10_000)
    with pytest.raises(WritingError):
        write(tmp_path)


def test_a_held_result_is_replaced_afterwards(tmp_path, refusals):
    write_result(tmp_path / "case")
    before = (tmp_path / "case" / "report.json").stat().st_ino
    refusals(1)
    write_result(tmp_path / "case", overwrite=True)
    assert (tmp_path / "case" / "report.json").stat().st_ino != before
    assert os.listdir(tmp_path) == ["case"] and sorted(os.listdir(tmp_path / "case")) == sorted(results.FILES)


@pytest.mark.skipif(os.name == "nt", reason="Windows is asked again")
def test_elsewhere_a_refusal_is_final(tmp_path):
    tried = []

    def act(*paths):
        tried.append(paths)
        raise PermissionError(13, "not yours")

    with pytest.raises(PermissionError):
        files.patiently(act, "a", "b")
    assert tried == [("a", "b")]


# ------------------------------------------------------------ the folder


@pytest.mark.skipif(os.name == "nt", reason="POSIX's rights")
def test_all_files_of_a_result_are_readable_for_the_same_people(tmp_path):
    before = os.umask(0o027)
    try:
        write_result(tmp_path / "case")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / "case" / name).stat().st_mode) for name in results.FILES} == {0o640}


def test_a_folder_appears_with_its_files(tmp_path):
    with results.appearing(tmp_path / "new" / "case", False) as folder:
        (folder / "report.json").write_text("{}")
        assert not (tmp_path / "new" / "case").exists()
    assert os.listdir(tmp_path / "new") == ["case"] and os.listdir(tmp_path / "new" / "case") == ["report.json"]


@pytest.mark.parametrize("error", [Cancelled(), MemoryError(), KeyboardInterrupt()])
def test_a_failed_run_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), results.appearing(tmp_path / "case", False) as folder:
        (folder / "labels.nii.gz").write_bytes(b"half")
        raise error
    assert os.listdir(tmp_path) == []


def test_a_result_is_replaced_only_when_asked(tmp_path):
    case = tmp_path / "case"
    case.mkdir()
    (case / "report.json").write_text("old")
    (case / "my notes.txt").write_text("keep")
    with pytest.raises(results.Exists), results.appearing(case, False):
        pytest.fail("nothing may be computed")
    with pytest.raises(MemoryError), results.appearing(case, True):
        raise MemoryError
    assert (case / "report.json").read_text() == "old"
    with results.appearing(case, True) as folder:
        (folder / "report.json").write_text(json.dumps("new"))
    assert json.loads((case / "report.json").read_text()) == "new"
    assert (case / "my notes.txt").read_text() == "keep"
    assert os.listdir(tmp_path) == ["case"]


@pytest.mark.parametrize("held", ["labels.nii.gz", "report.json"])
@pytest.mark.parametrize("old", [True, False])
def test_a_result_that_cannot_be_replaced_stays_as_it_was(tmp_path, monkeypatch, held, old):
    """As where Windows holds a file open: the old one cannot make room, or the new one not take its place."""
    case, real = tmp_path / "case", os.replace
    case.mkdir()
    for name in results.FILES:
        (case / name).write_text("old")

    def replace(source, place):
        if source.name == held and (source.parent == case) == old and source.parent.name != "old":
            raise PermissionError(13, "held open")
        real(source, place)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(EngineError), results.appearing(case, True) as folder:
        for name in results.FILES:
            (folder / name).write_text("new")
    assert sorted(os.listdir(case)) == sorted(results.FILES) and os.listdir(tmp_path) == ["case"]
    assert {(case / name).read_text() for name in results.FILES} == {"old"}


def test_an_old_result_that_cannot_come_back_is_not_lost(tmp_path, monkeypatch):
    case, real = tmp_path / "case", os.replace
    case.mkdir()
    (case / "labels.nii.gz").write_text("old")
    (case / "report.json").write_text("old")

    def replace(source, place):
        if source.name == "report.json" and place.parent == case:
            raise PermissionError(13, "held open")
        real(source, place)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(EngineError), results.appearing(case, True) as folder:
        for name in ("labels.nii.gz", "confidence.nii.gz", "report.json"):
            (folder / name).write_text("new")
    assert os.listdir(case) == ["labels.nii.gz"] and (case / "labels.nii.gz").read_text() == "old"
    assert [path.read_text() for path in tmp_path.rglob("report.json") if path.parent.name == "old"] == ["old"]


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError) as caught, results.appearing(tmp_path / "file" / "case", False):
        pytest.fail("nothing may be computed")
    assert caught.value.code == "bad_input" and "output" in caught.value.action


class StubDeformation:
    """No deformation."""

    def total_forward(self, geometry):
        return np.zeros((*geometry.shape, 3), np.float32)

    total_inverse = total_forward


def stub_result(shape=(20, 30, 40)):
    volume = Volume(np.ones(shape, np.uint8), Geometry(np.eye(4), shape))
    report = {"seconds": {}}
    return types.SimpleNamespace(labels=[volume], confidence=volume, deformation=StubDeformation(), report=report)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no device that is always full")
@pytest.mark.parametrize("name", [name for name in results.FILES if name != "segmentation.seg.nrrd"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, name):
    result = stub_result()
    volume = result.labels[0]
    with pytest.raises(EngineError) as caught, results.appearing(tmp_path / "case", False) as folder:
        (folder / name).symlink_to("/dev/full")
        results.write(folder, result, volume, volume, STRUCTURES, ignore)
    assert caught.value.code == "disk_full" and os.listdir(tmp_path) == []


def test_writing_can_be_stopped_at_every_step(tmp_path):
    result = stub_result()
    volume = result.labels[0]
    calls = []

    def check():
        calls.append(True)
        if len(calls) == stop_at:
            raise Cancelled()

    stop_at = 0
    with results.appearing(tmp_path / "whole", False) as folder:
        results.write(folder, result, volume, volume, STRUCTURES, check)
    assert sorted(os.listdir(tmp_path / "whole")) == sorted(results.FILES)
    for stop_at in range(1, len(calls) + 1):
        calls.clear()
        with pytest.raises(Cancelled), results.appearing(tmp_path / "case", False) as folder:
            results.write(folder, result, volume, volume, STRUCTURES, check)
    assert os.listdir(tmp_path) == ["whole"]


def test_two_that_write_the_same_result_do_not_mix_it(tmp_path):
    with pytest.raises(results.Exists), results.appearing(tmp_path / "case", False) as folder:
        (folder / "labels.nii.gz").write_text("mine")
        (tmp_path / "case").mkdir()
        (tmp_path / "case" / "labels.nii.gz").write_text("another process's")
    assert os.listdir(tmp_path) == ["case"] and (tmp_path / "case" / "labels.nii.gz").read_text().startswith("another")


KEEPING = """
import sys, time
from pathlib import Path
from RRLMedSAMEngine import results
with results.appearing(Path(sys.argv[1]), False) as folder:
    (folder / "labels.nii.gz").write_text("half")
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def keeper(tmp_path):
    """Callable: a process that is about to write the result of this name."""
    made = []

    def make(name):
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", KEEPING, str(tmp_path / name)]
        made.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(), encoding="utf-8"))
        assert made[-1].stdout.readline() == "ready\n"
        return made[-1]

    yield make
    for process in made:
        process.kill()
        process.communicate()


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, keeper):
    killed, living = keeper("Müller, Ä_ö 日本"), keeper("b")
    killed.kill()
    killed.wait()
    (tmp_path / ".mine.12.part").mkdir()  # nobody's claim is in it
    assert len(os.listdir(tmp_path)) == 3
    with results.appearing(tmp_path / "c", False) as folder:
        names = {os.path.basename(folder), f".b.{living.pid}.part", ".mine.12.part"}
        assert set(os.listdir(tmp_path)) == names
        (folder / "labels.nii.gz").write_text("whole")
    living.communicate("\n")
    assert sorted(os.listdir(tmp_path)) == [".mine.12.part", "b", "c"]
    assert os.listdir(tmp_path / "b") == ["labels.nii.gz"]
