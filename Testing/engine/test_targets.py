"""Which of a folder's entries are targets, and the table of their structures."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from enginekit import environment
from RRLMedSAMEngine import summary
from RRLMedSAMEngine.errors import EngineError
from RRLMedSAMEngine.targets import find_targets


def touch(folder, *names, content=b""):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)


def test_images_are_targets_and_other_files_are_not(tmp_path):
    touch(tmp_path, "b.NII.gz", "a.nrrd", "c.mha", "Müller, Ä_ö 日本.nii.gz", "notes.txt", "a.seg.nrrd", ".hidden.nii", "c.raw")
    names = [os.path.basename(path) for path in find_targets(str(tmp_path))]
    assert names == ["Müller, Ä_ö 日本.nii.gz", "a.nrrd", "b.NII.gz", "c.mha"]


def test_folders_of_dicom_files_are_targets(tmp_path):
    touch(tmp_path / "series 1", "IM0001", "IM0002", content=b"\0" * 128 + b"DICM")
    touch(tmp_path / "series 2", "1.dcm")
    touch(tmp_path / "other", "readme")
    (tmp_path / "empty").mkdir()
    assert [os.path.basename(path) for path in find_targets(str(tmp_path))] == ["series 1", "series 2"]
    assert find_targets(str(tmp_path / "series 1")) == [str(tmp_path / "series 1")]


def test_a_series_that_was_really_written_is_found_and_read(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    image = sitk.GetImageFromArray(np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7))
    for k in range(5):
        slice_ = image[:, :, k]
        slice_.SetMetaData("0020|0013", str(k))
        slice_.SetMetaData("0020|0032", f"0\\0\\{k}")
        sitk.WriteImage(slice_, str(folder / f"{k}"), imageIO="GDCMImageIO")
    assert find_targets(str(tmp_path)) == [str(folder)]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError):
        find_targets(str(tmp_path / "none"))


# ------------------------------------------------------------ the table


def report(confidence, reasons=()):
    rows = [{"label": 4, "name": 'Liver, "left"', "volume_ml": 1.25, "confidence": confidence, "reasons": list(reasons)}]
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


def test_a_file_that_is_no_table_of_ours_stays(tmp_path):
    path = tmp_path / summary.FILE
    path.write_text("patient;age\n")
    with pytest.raises(EngineError) as caught:
        summary.add(path, "a", report(80.0))
    assert caught.value.code == "exists" and path.read_text() == "patient;age\n"


ADDING = """
import sys
from pathlib import Path
from RRLMedSAMEngine import summary
sys.stdin.readline()
row = {"name": "Liver", "label": 4, "volume_ml": 1.25, "confidence": 80.0, "reasons": []}
for number in range(50):
    summary.add(Path(sys.argv[1]), f"{sys.argv[2]} {number}", {"structures": [row]})
"""


def test_two_processes_at_once_lose_no_line(tmp_path):
    path, pipe = tmp_path / summary.FILE, subprocess.PIPE
    command = [sys.executable, "-c", ADDING, str(path)]
    processes = [subprocess.Popen([*command, name], stdin=pipe, env=environment(), text=True) for name in "ab"]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert sorted(row[0] for row in read(path)[1:]) == sorted(f"{name} {n}" for name in "ab" for n in range(50))
    assert os.listdir(tmp_path) == [summary.FILE]
