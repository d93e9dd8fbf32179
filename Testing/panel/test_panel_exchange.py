"""The exchange folder: private, readable piece by piece, and gone when its owner is."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import slicer
from RRLMedSAMLib import exchange
from RRLMedSAMLib.exchange import ExchangeFolder, reading, removeStaleFolders, writing


@pytest.fixture(autouse=True)
def ownTemporaryFolder(tmp_path, monkeypatch):
    folder = tmp_path / "temporäre Dateien"
    folder.mkdir()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(folder))
    return folder


def test_it_lies_where_slicer_s_settings_say(ownTemporaryFolder, monkeypatch):
    folder = ExchangeFolder()
    assert os.path.dirname(folder.path) == str(ownTemporaryFolder)
    folder.remove()
    monkeypatch.setattr(slicer.app, "temporaryPath", "/none/such")
    folder = ExchangeFolder()
    assert os.path.dirname(folder.path) == tempfile.gettempdir()
    folder.remove()


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_only_the_user_can_enter():
    folder = ExchangeFolder()
    assert os.stat(folder.path).st_mode & 0o777 == 0o700
    folder.remove()
    assert not os.path.exists(folder.path)


@pytest.mark.parametrize("array", [np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.ones((50, 300, 200), np.uint8)])
def test_arrays_are_written_as_numpy_reads_them_and_read_back(array, tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "PIECE", 100_000)
    path = tmp_path / "array.npy"
    steps = len(list(writing(path, array)))
    assert steps == (1 if array.size < 100 else 50)
    assert np.array_equal(np.load(path), array) and np.load(path).dtype == array.dtype
    copy = np.zeros_like(array)
    for piece, values in reading(path, array.shape):
        copy[piece] = values
    assert np.array_equal(copy, array)


def test_a_view_that_is_not_contiguous_is_written_right(tmp_path):
    array = np.arange(60).reshape(3, 4, 5)[:, ::2, 1:4]
    list(writing(tmp_path / "array.npy", array))
    assert np.array_equal(np.load(tmp_path / "array.npy"), array)


def test_files_that_are_cut_off_or_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((4, 5, 6), np.float32))
    with pytest.raises(ValueError, match="expected an array"):
        list(reading(path, (4, 5, 7)))
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(ValueError):
        list(reading(path, (4, 5, 6)))


def test_a_folder_with_a_living_owner_stays():
    folder = ExchangeFolder()
    removeStaleFolders()
    assert os.path.exists(folder.path)
    folder.remove()


def test_the_folder_of_a_killed_process_is_removed(ownTemporaryFolder):
    code = (
        "import sys, tempfile, time; tempfile.tempdir = sys.argv[1]\n"
        "from RRLMedSAMLib.exchange import ExchangeFolder\n"
        "folder = ExchangeFolder(); open(folder.file('atlas.npy'), 'w').write('x')\n"
        "print(folder.path, flush=True); time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", code, str(ownTemporaryFolder)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, encoding="utf-8")
    path = owner.stdout.readline().strip()
    removeStaleFolders()
    assert os.path.exists(path)
    owner.kill()
    owner.communicate()
    removeStaleFolders()
    assert not os.path.exists(path)


def test_other_folders_and_those_just_being_made_stay(ownTemporaryFolder):
    young, old = (ownTemporaryFolder / f"{exchange.PREFIX}{name}" for name in ("young", "old"))
    foreign = ownTemporaryFolder / "somebody else's"
    for folder in (young, old, foreign):
        folder.mkdir()
    os.utime(old, (time.time() - 1000,) * 2)
    removeStaleFolders()
    assert young.exists() and foreign.exists() and not old.exists()


def test_what_nobody_claimed_goes_only_with_nothing_but_arrays_in_it(ownTemporaryFolder):
    contents = {
        "RRLMedSAM-main": ["atlas.npy"],
        f"{exchange.PREFIX}arrays": ["atlas.npy", "result_labels0.part"],
        f"{exchange.PREFIX}notes": ["atlas.npy", "notes.txt"],
        f"{exchange.PREFIX}folder": ["results.npy/"],
    }
    for name, files in contents.items():
        folder = ownTemporaryFolder / name
        folder.mkdir()
        for file in files:
            (folder / file).mkdir() if file.endswith("/") else (folder / file).touch()
        os.utime(folder, (time.time() - 1000,) * 2)
    removeStaleFolders()
    gone = [name for name in contents if not (ownTemporaryFolder / name).exists()]
    assert gone == [f"{exchange.PREFIX}arrays"]
