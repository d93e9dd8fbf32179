"""The worker under lines that no panel would send, and under a user who cannot decide."""

import random
import time

import pytest

pytest.importorskip("torch", reason="the worker computes with torch")

from enginekit import INPUTS, WorkerUnderTest, files_in, phantom, segment_request  # noqa: E402
from RRLMedSAMEngine import protocol  # noqa: E402

pytestmark = pytest.mark.needs_torch


def spoiled(line: str, chance: random.Random) -> bytes:
    """A line of the protocol with something wrong in it, or no such line at all."""
    data = bytearray(line.strip().encode("ascii"))
    match chance.randrange(6):
        case 0:  # cut off
            del data[chance.randrange(len(data)) :]
        case 1:  # some bytes are others
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(len(data))] = chance.choice(b'{}[]":,0a\\\xff\x00')
        case 2:  # some come twice
            at = chance.randrange(len(data))
            data[at:at] = data[at : at + chance.randrange(1, 40)]
        case 3:
            data = bytearray(chance.randbytes(chance.randrange(1, 300)).replace(b"\n", b""))
        case 4:  # deeply nested
            data = bytearray(b'{"protocol":' + b"[" * 2000 + b"]" * chance.randrange(2001) + b"}")
        case _:  # a field of another kind
            data = data.replace(
                b'"id":1', chance.choice([b'"id":null', b'"id":1e999', b'"id":"1"', b'"id":[]', b'"ix":1'])
            )
    return bytes(data) + b"\n"


def test_a_thousand_spoiled_lines_neither_end_nor_stop_the_worker(tmp_path):
    chance = random.Random(1)
    lines = [protocol.encode(m) for m in (segment_request(tmp_path), protocol.Probe(1), protocol.Cancel(1))]
    worker = WorkerUnderTest(stub=True)
    try:
        for number in range(1000):
            worker.send_bytes(spoiled(chance.choice(lines), chance))
            if number % 100 == 99:
                worker.send(protocol.Cancel(1), protocol.Probe(5000 + number))
                assert worker.last_of(5000 + number).facts
    finally:
        worker.close()


@pytest.mark.slow
def test_cancel_at_twenty_random_moments_is_quick_and_leaves_nothing(tmp_path):
    chance = random.Random(2)
    worker = WorkerUnderTest()
    shape = (60, 64, 58)
    pair = {"atlas": phantom(shape), "target": phantom(shape, bend_mm=3.0)}
    try:
        for number in (100, 101):  # the first run loads PyTorch, too
            started = time.monotonic()
            worker.send(segment_request(tmp_path, number, effort="balanced", **pair))
            assert isinstance(worker.last_of(number), protocol.Segmented)
        length = time.monotonic() - started
        for name in set(files_in(tmp_path)) - set(INPUTS):
            (tmp_path / name).unlink()
        cancelled, number = 0, 200
        while cancelled < 20:
            number += 1
            worker.send(segment_request(tmp_path, number, effort="balanced", **pair))
            time.sleep(chance.uniform(0, 0.9 * length))
            asked = time.monotonic()
            worker.send(protocol.Cancel(number))
            answer = worker.last_of(number)
            assert time.monotonic() - asked < 2.0
            if isinstance(answer, protocol.Failed):
                assert answer.code == "cancelled" and files_in(tmp_path) == sorted(INPUTS)
                cancelled += 1
            else:  # it was quicker
                for name in set(files_in(tmp_path)) - set(INPUTS):
                    (tmp_path / name).unlink()
                length *= 0.9
        assert worker.process.poll() is None  # it stays warm
    finally:
        worker.close()


def test_memory_stays_flat_over_thirty_targets(tmp_path):
    """What the first runs need is kept; nothing is added by the others."""
    worker = WorkerUnderTest()
    shape = (26, 28, 24)
    pair = {"atlas": phantom(shape), "target": phantom(shape, bend_mm=3.0)}
    try:
        sizes = []
        for number in range(1, 31):
            worker.send(segment_request(tmp_path, number, effort="fast", **pair))
            assert isinstance(worker.last_of(number), protocol.Segmented)
            sizes.append(_resident_mb(worker.process.pid))
        assert max(sizes[20:]) < max(sizes[5:10]) + 15, sizes
    finally:
        worker.close()


def _resident_mb(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6
    except FileNotFoundError:
        pytest.skip("this system does not tell a process's memory in /proc")
