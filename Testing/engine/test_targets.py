"""Which of a folder's entries are targets, and the table of their structures."""

import csv
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from enginekit import environment, write_series
from RRLMedSAMEngine import dicomheader, results, summary, targets
from RRLMedSAMEngine.errors import EngineError
from RRLMedSAMEngine.image import read_volume
from RRLMedSAMEngine.targets import find_targets, unique_names


def touch(folder, *names, content=b""):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)


def test_images_are_targets_and_other_files_are_not(tmp_path):
    touch(
        tmp_path,
        "b.NII.gz",
        "a.nrrd",
        "c.mha",
        "Müller, Ä_ö 日本.nii.gz",
        "notes.txt",
        "a.seg.nrrd",
        ".hidden.nii",
        "c.raw",
    )
    names = [os.path.basename(path) for path in find_targets(str(tmp_path))]
    assert names == ["Müller, Ä_ö 日本.nii.gz", "a.nrrd", "b.NII.gz", "c.mha"]


def test_folders_in_folders_are_searched_but_not_hidden_ones_and_results(tmp_path):
    touch(tmp_path / "b" / "anat", "T1.nii.gz")
    touch(tmp_path / "a", "T1.nii.gz")
    touch(tmp_path / ".git" / "c", "T1.nii.gz")
    touch(tmp_path / "out" / "T1", *results.FILES)
    touch(tmp_path.joinpath(*map(str, range(12))), "deep.nii.gz")
    found = find_targets(str(tmp_path))
    assert found == [str(tmp_path / part / "T1.nii.gz") for part in ("a", os.path.join("b", "anat"))]
    assert unique_names(found) == ["a_T1", "anat_T1"]
    assert unique_names(found[:1], ["t1"]) == ["a_T1"] and unique_names(found[:1], ["t1", "a_t1"])[0].endswith("_a_T1")


def test_a_disk_full_of_files_is_refused(tmp_path, monkeypatch):
    touch(tmp_path, *[f"{number}.txt" for number in range(20)])
    monkeypatch.setattr(targets, "MOST_FILES", 10)
    with pytest.raises(OSError, match="more than 10 files"):
        find_targets(str(tmp_path))


def test_a_folder_with_one_dicom_series_is_a_target(tmp_path):
    write_series(tmp_path / "scan", 1, "T1", 5)
    touch(tmp_path / "other", "readme", "DICOMDIR")
    touch(tmp_path / "broken", "1.dcm", content=b"\0" * 128 + b"DICM" + b"\2\0\0\0UL")
    (tmp_path / "empty").mkdir()
    assert [os.path.basename(path) for path in find_targets(str(tmp_path))] == ["broken", "scan"]
    assert find_targets(str(tmp_path / "scan")) == [str(tmp_path / "scan")]


@pytest.mark.parametrize(
    "places",
    [
        [(0, 0), (0, 2), (0, 4), (0, 8), (0, 10)],  # one is missing
        [(0, 0), (0, 0), (0, 2), (0, 2), (0, 4)],  # two points in time
        [(0.4 * k, 2 * k) for k in range(5)],  # the gantry was tilted
    ],
)
def test_slices_that_make_no_even_volume_are_refused(tmp_path, places):
    files = write_series(tmp_path / "scan", 1, "CT", 5, places=places)
    for path in (tmp_path / "scan", files[0]):
        with pytest.raises(EngineError, match="do not make one even volume"):
            read_volume(path)


def test_each_of_several_series_is_a_target_with_a_name_that_tells(tmp_path):
    for patient in ("Ä", "b"):
        write_series(tmp_path / patient / "DICOM", 12, "T1: sag/3D", 5)
        write_series(tmp_path / patient / "DICOM", 3, "T2", 4)
        write_series(tmp_path / patient / "DICOM", 5, "tumour", 1, "SEG")
    found = find_targets(str(tmp_path))
    names = ["b_DICOM_3_T2", "b_DICOM_12_T1_ sag_3D", "Ä_DICOM_3_T2", "Ä_DICOM_12_T1_ sag_3D"]
    assert unique_names(found) == names
    for path, number, count in zip(found, (3, 12) * 2, (4, 5) * 2):
        volume = read_volume(path)
        assert volume.array.shape == (count, 8, 9) and (volume.array == number).all()
        assert np.allclose(volume.geometry.spacing, (1, 1, 2.5))


def test_a_series_whose_header_is_compressed_is_read_and_no_other(tmp_path, monkeypatch):
    """As with the deflated transfer syntax, which ITK reads and `dicomheader` does not."""
    series = {number: write_series(tmp_path, number, "T1", 3)[0] for number in (100, 200)}
    monkeypatch.setattr(dicomheader, "read", lambda path: dicomheader.Header("", "", "", ""))
    for number, file in series.items():
        volume = read_volume(file)
        assert volume.array.shape == (3, 8, 9) and (volume.array == number).all()


def test_a_folder_may_hold_a_single_file_with_all_slices(tmp_path):
    frames = sitk.GetImageFromArray(np.arange(4 * 8 * 9, dtype=np.uint8).reshape(4, 8, 9))
    sitk.WriteImage(frames, str(tmp_path / "all.dcm"))
    assert np.array_equal(read_volume(tmp_path).array, sitk.GetArrayFromImage(frames))
    assert find_targets(str(tmp_path)) == [str(tmp_path)]


@pytest.mark.parametrize("is_implicit", [False, True])
def test_a_header_is_read_past_sequences_of_all_kinds(tmp_path, is_implicit):
    pydicom = pytest.importorskip("pydicom")
    (path,) = write_series(tmp_path, 7, "Schädel", 1)
    data = pydicom.dcmread(path)
    data.SpecificCharacterSet = "ISO_IR 100"
    inner = pydicom.Dataset()
    inner.Modality, inner.SeriesNumber = "CT", 99  # not the series' own
    for tag, is_undefined in ((0x00081032, True), (0x00081140, False)):
        item = pydicom.Dataset()
        item.add_new(0x00081140, "SQ", [inner])
        item[0x00081140].is_undefined_length = not is_undefined
        data.add_new(tag, "SQ", [item, inner])
        data[tag].is_undefined_length = is_undefined
    data.add_new(0x00091001, "OB", b"private" * 20)
    syntax = pydicom.uid.ImplicitVRLittleEndian if is_implicit else pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path, implicit_vr=is_implicit, little_endian=True)
    header = dicomheader.read(path)
    assert header == dicomheader.Header(data.SeriesInstanceUID, "MR", "7", "Schädel")
    whole = path.read_bytes()
    chance = random.Random(1)
    for _ in range(300):  # damaged files neither raise nor take long
        damaged = bytearray(whole[: chance.randrange(132, len(whole))])
        for _ in range(5):
            damaged[chance.randrange(132, max(133, len(damaged) - 1)) % len(damaged)] = chance.randrange(256)
        path.write_bytes(damaged)
        dicomheader.read(path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError):
        find_targets(str(tmp_path / "none"))


# ------------------------------------------------------------ the table


def report(confidence, reasons=()):
    rows = [
        {"label": 4, "name": 'Liver, "left"', "volume_ml": 1.25, "confidence": confidence, "reasons": list(reasons)}
    ]
    return {"structures": rows}


def read(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def test_the_table_grows_and_a_repeated_target_replaces_its_lines(tmp_path):
    path = tmp_path / summary.FILE
    summary.add(path, "Müller", report(80.0))
    summary.add(path, "Meier", report(None, ["not_found"]))
    summary.add(path, "Müller", report(50.0, ["low_agreement", "cut_by_view"]))
    assert read(path) == [
        list(summary.COLUMNS),
        ["Meier", 'Liver, "left"', "4", "1.25", "", "not_found"],
        ["Müller", 'Liver, "left"', "4", "1.25", "50.0", "low_agreement; cut_by_view"],
    ]
    assert os.listdir(tmp_path) == [summary.FILE]
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # else Excel garbles umlauts


@pytest.mark.skipif(sys.platform != "linux", reason="only there names may be any bytes")
def test_a_target_s_name_may_be_no_text(tmp_path):
    path, name = tmp_path / summary.FILE, os.fsdecode(b"M\xfcller")
    summary.add(path, name, report(80.0))
    summary.add(path, name, report(50.0))
    assert path.read_bytes().count(b"M\xfcller") == 1


@pytest.mark.parametrize("content", [b"patient;age\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_table_of_ours_stays(tmp_path, content):
    path = tmp_path / summary.FILE
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        summary.add(path, "a", report(80.0))
    assert caught.value.code == "exists" and path.read_bytes() == content


ADDING = """
import sys
from pathlib import Path
from RRLMedSAMEngine import dicomheader, results, summary, targets
sys.stdin.readline()
row = {"name": "Liver", "label": 4, "volume_ml": 1.25, "confidence": 80.0, "reasons": []}
for number in range(50):
    summary.add(Path(sys.argv[1]), f"{sys.argv[2]} {number}", {"structures": [row]})
"""


def test_two_processes_at_once_lose_no_line(tmp_path):
    path, pipe = tmp_path / summary.FILE, subprocess.PIPE
    command = [sys.executable, "-c", ADDING, str(path)]
    processes = [subprocess.Popen([*command, name], stdin=pipe, env=environment(), encoding="utf-8") for name in "ab"]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert sorted(row[0] for row in read(path)[1:]) == sorted(f"{name} {n}" for name in "ab" for n in range(50))
    assert os.listdir(tmp_path) == [summary.FILE]


def test_blank_lines_in_the_table_do_no_harm(tmp_path):
    row = {"name": "Liver", "label": 4, "volume_ml": 1.5, "confidence": 90.0, "reasons": []}
    table = tmp_path / summary.FILE
    summary.add(table, "one", {"structures": [row]})
    table.write_bytes(table.read_bytes() + b"\r\n")
    summary.add(table, "two", {"structures": [row]})
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["target", "one", "two"]


def test_a_folder_with_any_of_a_results_files_has_a_result(tmp_path):
    assert not targets.has_result(tmp_path) and not targets.has_result(tmp_path / "case")
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "notes.txt").write_text("")
    assert not targets.has_result(tmp_path / "case")
    (tmp_path / "case" / targets.FILES[0]).write_text("")
    assert targets.has_result(tmp_path / "case") and not targets.has_result(tmp_path)
