"""What the command line refuses, and with which sentence and exit code; in this process, without computing."""

import errno

import numpy as np
import pytest
import SimpleITK as sitk
from enginekit import files_in, phantom, write_series

pytest.importorskip("torch", reason="the command line computes with torch")

from RRLMedSAMEngine import cli, pipeline, terminal  # noqa: E402
from RRLMedSAMEngine.errors import EngineError  # noqa: E402
from RRLMedSAMEngine.targets import target_name  # noqa: E402


@pytest.fixture(autouse=True)
def no_computation(monkeypatch):
    """A computation that runs out of memory at once; the list of the targets that it was given."""
    targets = []

    def segment(atlas, labels, target, settings, **_):
        targets.append(target)
        raise MemoryError

    monkeypatch.setattr(pipeline, "segment", segment)
    return targets


@pytest.fixture
def files(tmp_path):
    image, labels, _ = phantom((20, 22, 24))
    for name, array in (("atlas", image), ("labels", labels), ("target", image)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}.nii.gz"))
    return tmp_path


def run(files, **changes):
    """Exit code and summaries of a run over the files, with other arguments where ``changes`` has them."""
    given = {
        "atlas": files / "atlas.nii.gz",
        "atlas_labels": files / "labels.nii.gz",
        "target": files / "target.nii.gz",
        "output": files / "out",
        **changes,
    }
    arguments = [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    job = cli.Job(cli.parse(arguments))
    rows = job.run()
    return cli.exit_code(rows), rows


def written(path, array, is_vector=False):
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=is_vector), str(path))
    return path


def cut_off(folder):
    path = folder / "cut.nii.gz"
    path.write_bytes((folder / "target.nii.gz").read_bytes()[:3000])
    return path


def empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def text_file(folder):
    path = folder / "text.nii.gz"
    path.write_text("no image")
    return path


UNUSABLE = {
    "missing": lambda folder: folder / "missing.nii.gz",
    "cut off": cut_off,
    "text": text_file,
    "empty folder": empty_folder,
    "2D": lambda folder: written(folder / "flat.nii.gz", np.zeros((20, 20), np.int16)),
    "4D": lambda folder: written(folder / "time.nii.gz", np.zeros((3, 20, 20, 20), np.int16)),
    "RGB": lambda folder: written(folder / "rgb.nii.gz", np.zeros((20, 20, 20, 3), np.uint8), True),
    "2D RGB": lambda folder: written(folder / "rgb.png", np.zeros((20, 20, 3), np.uint8), True),
}


@pytest.mark.parametrize("role", ["atlas", "atlas_labels", "target"])
@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_files_are_refused(files, no_computation, role, kind):
    code, rows = run(files, **{role: UNUSABLE[kind](files)})
    assert code == 3 and rows[0]["error"]["code"] == "bad_input"
    assert rows[0]["error"]["text"].startswith(f"The {role.replace('_', ' ')}: ") and rows[0]["error"]["action"]
    assert str(files) not in rows[0]["error"]["text"]
    assert no_computation == [] and not list((files / "out").glob("*") if (files / "out").exists() else [])


def test_labels_must_be_whole_numbers(files):
    labels = written(files / "soft.nii.gz", np.full((20, 22, 24), 0.5, np.float32))
    assert run(files, atlas_labels=labels)[0] == 3


def test_an_output_that_cannot_be_written_is_told_before_computing(files, no_computation):
    code, rows = run(files, output=files / "target.nii.gz" / "sub")
    assert code == 3 and "output" in rows[0]["error"]["action"] and no_computation == []


@pytest.mark.parametrize(
    "error, code, name",
    [
        (MemoryError(), 5, "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left", "/home/jane"), 6, "disk_full"),
        (EngineError("no_overlap", "They lie apart.", "Move them."), 3, "no_overlap"),
        (ZeroDivisionError("/home/jane"), 8, "internal"),
    ],
)
def test_what_the_computation_raises_becomes_an_exit_code(files, monkeypatch, capsys, error, code, name):
    def segment(*_, **__):
        raise error

    monkeypatch.setattr(pipeline, "segment", segment)
    found, rows = run(files)
    assert found == code and rows[0]["error"]["code"] == name
    assert files_in(files / "out") == [] and "jane" not in capsys.readouterr().err


def test_a_dicom_folder_is_a_target(files, no_computation):
    folder = files / "Series 2024.01.03"
    folder.mkdir()
    image, _, _ = phantom((20, 22, 24))
    volume = sitk.GetImageFromArray(image)
    volume.SetSpacing([1.5, 1.5, 2.5])
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(volume.GetDepth()):
        part = volume[:, :, k]
        tags = {
            "0008|0060": "MR",
            "0020|000e": "1.2.826.0.1.3680043.2.1125.1",
            "0020|0032": f"0\\0\\{2.5 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(k),
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.1.{k + 1}",
        }
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{99 - k}.dcm"))
        writer.Execute(part)
    code, rows = run(files, target=folder)
    assert code == 5 and rows[0]["target"] == "Series 2024.01.03"
    assert np.array_equal(no_computation[0].array, image)
    assert np.allclose(no_computation[0].geometry.spacing, [1.5, 1.5, 2.5])


@pytest.mark.parametrize(
    "file, name",
    [
        ("a/brain.nii.gz", "brain"),
        ("brain.NII.GZ", "brain"),
        ("brain.v2.nrrd", "brain.v2"),
        ("liver.seg.nrrd", "liver"),
        ("scan", "scan"),
    ],
)
def test_a_target_gives_its_folder_the_name(file, name):
    assert target_name(file) == name


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--target", "a/x.nii.gz", "--target", "a/../a/x.nii.gz"],
        ["--target", "a/.nii.gz"],
        ["--target", "x.nii", "--effort", "heroic"],
        ["--target", "x.nii", "--seed", "one"],
    ],
)
def test_a_wrong_command_line_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.parse(["--atlas", "a.nii", "--atlas-labels", "l.nii", "--output", "o", *arguments])
    assert caught.value.code == 2 and "usage" in capsys.readouterr().err


def test_each_series_of_a_folder_is_a_target(files, no_computation):
    folder = files / "patient 1"
    write_series(folder, 3, "T1", 20)
    write_series(folder, 4, "T2", 22)
    write_series(folder, 5, "report", 1, "SR")
    code, rows = run(files, target=folder)
    assert code == 5 and [row["target"] for row in rows] == ["patient 1_3_T1", "patient 1_4_T2"]
    assert [target.array.shape for target in no_computation] == [(20, 8, 9), (22, 8, 9)]


def test_equal_names_get_their_folders_in_front():
    targets = ["a/s/x.nii.gz", "b/s/X.nrrd", "y.nii", "y.mha"]
    given = [part for target in targets for part in ("--target", target)]
    options = cli.parse(["--atlas", "a.nii", "--atlas-labels", "l.nii", "--output", "o", *given])
    assert options.names[:2] == ["a_s_x", "b_s_X"]
    assert options.names[3] == options.names[2] + " (2)"


def test_the_help_documents_every_exit_code(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.parse(["--help"])
    assert caught.value.code == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    documented = {int(line[0]) for line in lines if line and line[0].isdigit()}
    assert documented >= {0, cli.MIXED, 2, 130, *cli.EXIT_CODES.values()}


def test_exit_codes_of_several_targets():
    good, bad, full = {"target": "a"}, {"error": {"code": "bad_input"}}, {"error": {"code": "disk_full"}}
    assert cli.exit_code([good, good]) == 0
    assert cli.exit_code([bad, good]) == cli.exit_code([good, full]) == 1
    assert cli.exit_code([full, bad]) == 6
    assert cli.exit_code([good, full], stopped_by=15) == 143


def test_a_terminal_without_a_width_gets_the_usual_one(capfd, monkeypatch):
    """As NUL on Windows, which passes for a terminal; here it is a file."""
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True, raising=False)
    bar = terminal.progress_of("target" * 20)
    bar("align", 0.5, 7.0)
    bar.say("done")
    drawn, _wiped, said = capfd.readouterr().err.split("\r")[1:]
    assert len(drawn) == terminal.WIDTH - 1 and said == "target" * 20 + ": done\n"
