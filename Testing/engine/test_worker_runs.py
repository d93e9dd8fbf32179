"""Runs of the worker's process: results, progress, Cancel, errors; with a computation of no substance."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from enginekit import (
    HERE,
    INPUTS,
    WorkerUnderTest,
    environment,
    files_in,
    gone_within,
    rows,
    segment_request,
)
from RRLMedSAMEngine import probe, protocol

pytest.importorskip("torch", reason="the worker computes with torch")


@pytest.fixture(scope="module")
def worker():
    """One worker for all tests: each of them must leave it usable."""
    worker = WorkerUnderTest(stub=True)
    yield worker
    worker.close()


def is_computing(message):
    return isinstance(message, protocol.Progress) and message.stage == "deform"


def test_a_result_arrives_whole(worker, tmp_path):
    request = segment_request(tmp_path, 1)
    worker.send(request)
    answer = worker.last_of(1)
    assert isinstance(answer, protocol.Segmented), answer
    target = np.load(tmp_path / "target.npy")
    labels = np.load(tmp_path / answer.labels[0].file)
    assert labels.shape == target.shape and labels.dtype == np.load(tmp_path / "labels0.npy").dtype
    assert answer.labels[0].voxel_to_lps == answer.confidence.voxel_to_lps == request.target.voxel_to_lps
    assert np.load(tmp_path / answer.forward.file).shape == (50, 60, 70, 3)
    written = [answer.labels[0].file, answer.confidence.file, answer.forward.file, answer.inverse.file]
    assert files_in(tmp_path) == sorted(INPUTS + written)
    assert answer.report["peak_memory_gb"] > 0 and "write" in answer.report["seconds"]


def test_progress_comes_at_once_and_in_order(worker, tmp_path):
    request = segment_request(tmp_path, 2)
    sent = time.monotonic()
    worker.send(request)
    worker.wait_for(protocol.Progress)
    assert time.monotonic() - sent < 0.3
    first = len(worker.events) - 1
    worker.last_of(2)
    run = [message for _, message in worker.events[first:]]
    assert [m.stage for m in run if isinstance(m, protocol.Progress)] == ["read", "align", "write"]
    assert [m.text for m in run if isinstance(m, protocol.Warned)] == ["A warning."]
    fractions = [m.fraction for m in run if isinstance(m, protocol.Progress)]
    assert fractions == sorted(fractions)


def test_a_silent_computation_shows_signs_of_life(worker, tmp_path):
    worker.send(segment_request(tmp_path, 3, model="silent"))
    worker.wait_for(is_computing)
    first = len(worker.events) - 1
    worker.last_of(3)
    run = worker.events[first:]
    assert sum(is_computing(message) for _, message in run) >= 2
    assert max(b[0] - a[0] for a, b in zip(run, run[1:])) < 5


def test_cancel_ends_a_run_within_two_seconds_and_leaves_nothing(worker, tmp_path):
    worker.send(segment_request(tmp_path, 4, model="slow"))
    worker.wait_for(is_computing)
    worker.send(protocol.Cancel(4))
    failed = worker.last_of(4, 2)
    assert failed.code == "cancelled"
    assert files_in(tmp_path) == INPUTS
    worker.send(segment_request(tmp_path, 5))
    assert isinstance(worker.last_of(5), protocol.Segmented)


def test_nothing_of_a_run_follows_its_end(worker, tmp_path):
    worker.send(segment_request(tmp_path, 6, model="slow"))
    worker.wait_for(is_computing)
    worker.send(protocol.Cancel(6), protocol.Cancel(6))
    worker.last_of(6)
    end = len(worker.events)
    worker.send(protocol.Probe(7))
    facts = worker.wait_for(protocol.Probed).facts
    assert [type(message) for _, message in worker.events[end:]] == [protocol.Probed]
    assert facts["device"].startswith("CPU") or "CUDA" in facts["device"]
    assert facts["torch_cuda"] == probe.NONE or facts["torch_cuda"][0].isdigit()


def test_a_second_run_is_refused_while_one_goes_on(worker, tmp_path):
    (tmp_path / "other").mkdir()
    worker.send(segment_request(tmp_path, 8, model="slow"), segment_request(tmp_path / "other", 9))
    failed = worker.last_of(9)
    assert failed.code == "bad_input" and "run" in failed.text
    worker.wait_for(is_computing)  # the first goes on
    worker.send(protocol.Cancel(8))
    worker.last_of(8)


def test_prints_do_not_reach_the_panel(worker, tmp_path):
    worker.send(segment_request(tmp_path, 10, model="noisy"))
    assert isinstance(worker.last_of(10), protocol.Segmented)  # every line before it was a message
    for place in ("from Python", "{}", "to the descriptor", "from C", "from a child"):
        assert worker.logs(place)


@pytest.mark.parametrize(
    "model, code",
    [
        ("no_memory", "out_of_memory"),
        ("no_cuda_memory", "out_of_memory"),
        ("full_disk", "disk_full"),
        ("broken", "internal"),
    ],
)
def test_errors_have_a_code_and_tell_no_secrets(worker, tmp_path, model, code):
    number = 20 + len(worker.events)
    worker.send(segment_request(tmp_path, number, model=model))
    failed = worker.last_of(number)
    assert failed.code == code and failed.text.endswith(".") and failed.action
    assert files_in(tmp_path) == INPUTS
    assert worker.logs("stubworker.py")
    told = failed.text + failed.action + worker.stderr
    assert "SMITH" not in told and "jane" not in told and str(HERE) not in told


class Pickled:
    """Leaves a file if it is ever loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def truncated(folder):
    with open(folder / "target.npy", "r+b") as file:
        file.truncate(1000)


def missing(folder):
    (folder / "atlas.npy").unlink()


def flat(folder):
    np.save(folder / "target.npy", np.zeros((20, 20), np.float32))


def four_dimensional(folder):
    np.save(folder / "target.npy", np.zeros((20, 20, 20, 3), np.float32))


def fractional_labels(folder):
    np.save(folder / "labels0.npy", np.zeros((36, 34, 38), np.float32))


def pickled(folder):
    np.save(folder / "atlas.npy", np.array([Pickled(str(folder / "trap"))]), allow_pickle=True)


def no_array(folder):
    (folder / "atlas.npy").write_bytes(b"hello")


@pytest.mark.parametrize(
    "spoil",
    [truncated, missing, flat, four_dimensional, fractional_labels, pickled, no_array],
    ids=lambda function: function.__name__,
)
def test_spoiled_inputs_are_refused(worker, tmp_path, spoil):
    number = 20 + len(worker.events)
    request = segment_request(tmp_path, number)
    spoil(tmp_path)
    before = files_in(tmp_path)
    worker.send(request)
    assert worker.last_of(number).code == "bad_input"
    assert files_in(tmp_path) == before


def test_impossible_requests_are_refused(worker, tmp_path):
    number = 20 + len(worker.events)
    request = segment_request(tmp_path, number)
    flat_grid = rows([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for change in (
        {"effort": "heroic"},
        {"device": "abacus"},
        {"target": protocol.Array("../target.npy", request.target.voxel_to_lps)},
        {"target": protocol.Array("target.npy", flat_grid)},
    ):
        number += 1
        worker.send(protocol.Segment(**{**vars(request), **change, "id": number}))
        assert worker.last_of(number).code == "bad_input", change


def test_a_path_with_spaces_and_other_letters(worker, tmp_path):
    folder = tmp_path / "für Zoë 患者"
    folder.mkdir()
    number = 20 + len(worker.events)
    worker.send(segment_request(folder, number))
    assert isinstance(worker.last_of(number), protocol.Segmented)


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files, as only POSIX can")
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path):
    import resource

    def limit():  # stands for the full disk: writing beyond it fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    request = segment_request(tmp_path, 1)
    worker = WorkerUnderTest(stub=True, preexec_fn=limit)
    try:
        worker.send(request)
        assert worker.last_of(1).code == "disk_full"
        assert files_in(tmp_path) == INPUTS
    finally:
        worker.close()


@pytest.mark.skipif(os.name == "nt", reason="kills by POSIX signals")
def test_a_busy_worker_dies_with_its_parent_and_leaves_nothing(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, str(HERE / "dyingparent.py"), str(tmp_path), "busy"],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone_within(pid, 3)
    assert files_in(tmp_path) == INPUTS
