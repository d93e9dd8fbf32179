"""Targets in files, segmented by the worker's process: many, cancelled, refused, and as the command line does it."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the worker computes with torch")

import SimpleITK as sitk  # noqa: E402
from enginekit import WorkerUnderTest, files_in, phantom, rows  # noqa: E402
from RRLMedSAMEngine import nifti, protocol, results  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402

pytestmark = pytest.mark.needs_torch

NAME = "Müller, Ä_ö 日本"
SHAPE = (36, 34, 38)


@pytest.fixture(scope="module")
def worker():
    process = WorkerUnderTest()
    yield process
    process.close()


@pytest.fixture
def request_of(tmp_path):
    """Callable: writes atlas and target as the panel and the user have them; returns the request."""
    folder, output = tmp_path / "exchange", tmp_path / "results here"
    folder.mkdir()
    output.mkdir()

    def make(number, name=NAME, bend=2.0, **settings):
        image, labels, matrix = phantom(SHAPE)
        np.save(folder / "atlas.npy", image)
        np.save(folder / "labels.npy", labels)
        target, _, place = phantom(SHAPE, bend_mm=bend)
        path = tmp_path / f"{name}.nii.gz"
        nifti.write(path, target, Geometry(place, SHAPE), lambda: None)
        return protocol.SegmentFile(
            number, str(folder),
            *(protocol.Array(f"{what}.npy", rows(matrix)) for what in ("atlas", "labels")),
            [protocol.Structure(value, f"organ {value}", (0.1, 0.5, value / 50)) for value in (4, 9, 30)],
            str(path), str(output), name, **{"effort": "fast", "device": "cpu", "model": "instant", **settings},
        )  # fmt: skip

    return make


def test_the_files_are_those_of_the_command_line(worker, request_of):
    request = request_of(1)
    worker.send(request)
    written = worker.last_of(1)
    assert isinstance(written, protocol.Written), written
    folder = Path(request.output) / NAME
    assert Path(written.output) == folder and files_in(folder) == sorted(results.FILES)
    assert json.loads((folder / "report.json").read_text())["structures"] == written.report["structures"]
    image = sitk.ReadImage(str(folder / "segmentation.seg.nrrd"))
    assert image.GetMetaData("Segment1_Name") == "organ 9"
    assert (Path(request.output) / "structures.csv").read_text(encoding="utf-8").count(NAME) == 3


def test_a_second_result_is_refused_unless_it_may_replace_the_first(worker, request_of):
    worker.send(request_of(2))
    assert isinstance(worker.last_of(2), protocol.Written)
    worker.send(request_of(3))
    assert worker.last_of(3).code == "exists"
    worker.send(request_of(4, overwrite=True))
    assert isinstance(worker.last_of(4), protocol.Written)


def test_a_table_that_cannot_be_written_is_a_warning(worker, request_of):
    request = request_of(7)
    (Path(request.output) / "structures.csv").write_text("somebody else's")
    worker.send(request)
    assert isinstance(worker.last_of(7), protocol.Written)
    warnings = [message for _, message in worker.events if isinstance(message, protocol.Warned) and message.id == 7]
    assert any("structures.csv lacks this target" in warning.text for warning in warnings)
    assert (Path(request.output) / "structures.csv").read_text() == "somebody else's"


def test_cancelled_it_leaves_nothing(worker, request_of):
    request = request_of(5, effort="best")
    worker.send(request)
    worker.wait_for(protocol.Progress)
    worker.send(protocol.Cancel(5))
    assert worker.last_of(5).code == "cancelled"
    assert files_in(request.output) == []


@pytest.mark.parametrize("change", [{"target": "/none/such.nii"}, {"effort": "hard"}, {"name": ""}, {"name": "../up"}])
def test_what_cannot_be_used_is_refused_with_a_sentence(worker, request_of, change):
    request = request_of(6)
    for name, value in change.items():
        setattr(request, name, value)
    worker.send(request)
    failed = worker.last_of(6)
    assert failed.code == "bad_input" and failed.text.endswith(".") and failed.action
    assert files_in(request.output) == []
