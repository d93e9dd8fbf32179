"""The worker as a process: it starts at once, takes any line, and does not outlive its panel. Needs no torch."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from enginekit import HERE, WorkerUnderTest, environment, gone_within, rows
from RRLMedSAMEngine import __version__, probe, protocol
from RRLMedSAMEngine.errors import EngineError
from RRLMedSAMEngine.worker import load

NOTHING = protocol.Array("nothing.npy", rows([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))


@pytest.fixture
def start():
    """Callable that starts a worker; all of them end with the test."""
    workers = []

    def make(*arguments, **options):
        workers.append(WorkerUnderTest(*arguments, **options))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


@pytest.fixture
def without_torch(tmp_path):
    """A folder for the path, in which torch is a module that cannot be imported."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here', name='torch')\n")
    return tmp_path


def test_ready_comes_first_and_before_torch_is_loaded(start, tmp_path):
    (tmp_path / "torch.py").write_text("import time\ntime.sleep(60)\n")
    worker = start(path=[tmp_path])
    ready = worker.wait_for(protocol.Ready, 5)
    assert ready == protocol.Ready(worker.process.pid, __version__)
    assert len(worker.events) == 1


def test_a_request_is_answered_while_torch_is_being_loaded(start, tmp_path):
    (tmp_path / "torch.py").write_text("import time\ntime.sleep(60)\n")
    worker = start(path=[tmp_path])
    worker.wait_for(protocol.Ready)
    worker.send(protocol.Segment(3, str(tmp_path), NOTHING, [NOTHING], NOTHING))
    progress = worker.wait_for(protocol.Progress, 0.5)
    assert (progress.id, progress.stage, progress.fraction) == (3, "read", 0.0)
    worker.send(protocol.Cancel(3))
    assert worker.last_of(3, 0.5).code == "cancelled"


def test_the_probe_tells_what_is_missing(start, without_torch):
    worker = start(path=[without_torch])
    worker.send(protocol.Probe(8))
    facts = worker.wait_for(protocol.Probed).facts
    assert facts["torch"] == probe.MISSING and facts["numpy"] != probe.MISSING
    assert all(isinstance(text, str) for text in facts.values())
    assert 0 < float(facts["memory_gb"]) < 100_000


def test_a_probe_that_fails_does_not_end_the_worker(start, without_torch):
    (without_torch / "sitecustomize.py").write_text(
        "from RRLMedSAMEngine import memory\n"
        "tell = memory.free_gb\n"
        "def forbidden():\n"
        "    memory.free_gb = tell\n"
        "    raise PermissionError(13, 'Permission denied', '/proc/meminfo')\n"
        "memory.free_gb = forbidden\n"
    )
    worker = start(path=[without_torch])
    worker.send(protocol.Probe(1), protocol.Probe(2))
    failed = worker.last_of(1)
    assert failed.code == "internal" and "PermissionError" in failed.text
    assert worker.logs("forbidden") and "meminfo" not in worker.stderr
    assert isinstance(worker.last_of(2), protocol.Probed)


def test_slicers_plugins_for_files_are_not_loaded(start, without_torch, monkeypatch):
    monkeypatch.setenv("ITK_AUTOLOAD_PATH", str(without_torch))
    (without_torch / "SimpleITK.py").write_text(
        "import os\n__version__ = os.environ.get('ITK_AUTOLOAD_PATH', 'without plugins')\n"
    )
    worker = start(path=[without_torch])
    worker.send(protocol.Probe(8))
    assert worker.wait_for(protocol.Probed).facts["SimpleITK"] == "without plugins"


@pytest.mark.skipif(os.name == "nt", reason="the pretended tool of the driver is a script")
@pytest.mark.parametrize(
    ("script", "card"),
    [("echo Fake RTX", "Fake RTX"), ("echo 'No devices were found'; exit 6", None), ("exit 0", None)],
)
def test_the_probe_tells_of_a_graphics_card_without_torch(start, without_torch, monkeypatch, script, card):
    tool = without_torch / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(without_torch), prepend=os.pathsep)
    worker = start(path=[without_torch])
    worker.send(protocol.Probe(8))
    assert worker.wait_for(protocol.Probed).facts.get("graphics_card") == card


@pytest.mark.needs_torch
def test_the_probe_tells_of_a_pytorch_for_another_numpy(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is missing")
    assert "arrays" not in probe.facts()

    def numpy(*_args):
        raise RuntimeError("Numpy is not available")

    monkeypatch.setattr(torch.Tensor, "numpy", numpy)
    assert probe.facts()["arrays"] == probe.MISSING
    with pytest.raises(EngineError, match="does not work with this NumPy"):
        load()


@pytest.mark.skipif(os.name == "nt", reason="the pretended tool of the driver is a script")
def test_a_driver_that_hangs_does_not_hold_the_probe_up(without_torch, monkeypatch):
    tool = without_torch / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexec sleep 5\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(without_torch), prepend=os.pathsep)
    monkeypatch.setattr(probe, "DRIVERS_SECONDS", 0.2)
    started = time.monotonic()
    assert probe._graphics_card() == {} and time.monotonic() - started < 4


def test_a_run_without_torch_fails_with_a_sentence_each_time(start, without_torch):
    worker = start(path=[without_torch])
    for number in (1, 2):
        worker.send(protocol.Segment(number, str(without_torch), NOTHING, [NOTHING], NOTHING))
        failed = worker.last_of(number)
        assert failed.code == "no_torch" and "PyTorch" in failed.text
    assert str(without_torch) not in worker.stderr and "no torch here" not in worker.stderr


def test_a_library_that_breaks_while_it_is_loaded_does_not_end_the_worker(start, tmp_path):
    (tmp_path / "torch.py").write_text("raise AttributeError('_ARRAY_API not found')\n")
    worker = start(path=[tmp_path])
    worker.send(protocol.Probe(1), protocol.Segment(2, str(tmp_path), NOTHING, [NOTHING], NOTHING))
    assert worker.last_of(1).facts["torch"] == probe.MISSING
    failed = worker.last_of(2)
    assert failed.code == "internal" and "AttributeError" in failed.text


def test_broken_lines_are_ignored(start, without_torch):
    worker = start(path=[without_torch])
    chance = random.Random(1)
    secret = b'{"protocol":1,"type":"segment","folder":"/home/jane/SMITH^JOHN"}\n'
    worker.send_bytes(secret + b"\xff\xfe\n\n\r\nCancel\n" + b'{"protocol":99,"type":"probe","id":1}\n')
    for _ in range(100):
        worker.send_bytes(bytes(chance.randrange(256) for _ in range(chance.randrange(80))) + b"\n")
    worker.send_bytes(b"x" * 5_000_000 + b"\n")
    worker.send(protocol.Ready(1, "an event is no request"), protocol.Cancel(12345), protocol.Probe(2))
    assert worker.wait_for(lambda m: not isinstance(m, protocol.Ready)).id == 2
    assert worker.logs("no request") and "SMITH" not in worker.stderr and "jane" not in worker.stderr


def test_it_ends_when_its_input_closes(start):
    worker = start()
    worker.wait_for(protocol.Ready)
    worker.process.stdin.close()
    assert worker.ends_within(3) == 0


@pytest.mark.skipif(os.name == "nt", reason="kills by POSIX signals")
def test_it_ends_when_its_parent_is_killed(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, str(HERE / "dyingparent.py"), str(tmp_path), "idle"],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone_within(pid, 3)


def test_it_ends_when_nobody_reads_its_output():
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "RRLMedSAMEngine.worker"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment()) as process:
        process.stdout.readline()
        process.stdout.close()
        request = protocol.Segment(1, "/nowhere", NOTHING, [NOTHING], NOTHING)
        process.stdin.write(protocol.encode(request).encode("ascii"))
        process.stdin.flush()
        process.wait(5)  # its input is still open
