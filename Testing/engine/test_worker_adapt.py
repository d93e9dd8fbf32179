"""Adapting a model in the worker's process: what it tells meanwhile, paused and resumed."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the worker computes with torch")

from enginekit import WorkerUnderTest, phantom, rows  # noqa: E402
from RRLMedSAMEngine import protocol  # noqa: E402
from RRLMedSAMEngine.card import read_card  # noqa: E402

pytestmark = pytest.mark.needs_torch

SHAPE = (26, 24, 28)


@pytest.fixture(scope="module")
def worker():
    process = WorkerUnderTest()
    yield process
    process.close()


def adapt_request(folder, number, seconds=12.0, **settings):
    """Writes an atlas and one scan into the folder as the panel does."""
    image, labels, matrix = phantom(SHAPE)
    scan, _, _ = phantom(SHAPE, bend_mm=2.0)
    for name, array in (("atlas", image), ("labels", labels), ("scan0", scan)):
        np.save(Path(folder) / f"{name}.npy", array)
    atlas, labels, scan = (protocol.Array(f"{name}.npy", rows(matrix)) for name in ("atlas", "labels", "scan0"))
    return protocol.Adapt(
        number, str(folder), atlas, labels, {"4": "Liver"}, [scan], "", [], str(Path(folder) / "mine.rrl"),
        seconds / 60, **{"device": "cpu", **settings},
    )  # fmt: skip


def is_training(message):
    return isinstance(message, protocol.Progress) and message.stage == "train"


def test_it_tells_losses_and_shows_a_picture_and_can_be_paused_and_resumed(worker, tmp_path):
    worker.send(adapt_request(tmp_path, 1, seconds=600))
    losses = worker.wait_for(protocol.Losses)
    assert {"coarse", "refined"} <= set(losses.values)
    shown = worker.wait_for(protocol.Preview)
    assert np.load(tmp_path / shown.file).shape[2] == 3
    worker.send(protocol.Cancel(1))
    failed = worker.last_of(1)
    assert failed.code == "cancelled"
    assert (tmp_path / "mine.rrl.unfinished").is_dir() and not (tmp_path / "mine.rrl").exists()

    # The time is what the first request was given, so that the second one is stopped too.
    worker.send(adapt_request(tmp_path, 2, seconds=600, resume=True))
    worker.wait_for(is_training)
    worker.send(protocol.Cancel(2))
    assert worker.last_of(2).code == "cancelled"


def test_the_package_is_written_and_its_card_told(worker, tmp_path):
    worker.send(adapt_request(tmp_path, 3))
    adapted = worker.last_of(3)
    assert isinstance(adapted, protocol.Adapted), adapted
    card = read_card(adapted.output)
    assert card.name == adapted.card["name"] == "mine" and card.structures[0] == {"label": 4, "name": "Liver"}
    assert not (tmp_path / "mine.rrl.unfinished").exists()
    worker.send(protocol.Probe(4))  # and it is free again
    assert worker.last_of(4).facts


@pytest.mark.parametrize("change", [{"scan_folder": "none/such"}, {"scans": []}, {"minutes": -1.0}, {"device": "tpu"}])
def test_what_cannot_work_is_refused_with_a_sentence(worker, tmp_path, change):
    request = adapt_request(tmp_path, 5)
    for name, value in change.items():
        setattr(request, name, value)
    worker.send(request)
    failed = worker.last_of(5)
    assert failed.code == "bad_input" and failed.text.endswith(".") and failed.action
    assert not (tmp_path / "mine.rrl.unfinished").exists()
