"""The worker's process: real processes that behave badly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from RRLMedSAMEngine import protocol
from RRLMedSAMLib import messages, workerprocess
from RRLMedSAMLib.workerprocess import Broken, WorkerProcess

FAKE = Path(__file__).with_name("fakeworker.py")
REQUEST = protocol.Segment(7, "nowhere", *[protocol.Array("a.npy", ((1.0, 0.0, 0.0, 0.0),) * 4)] * 3)
REQUEST.atlas_labels = []


@pytest.fixture
def worker():
    made = []

    def make(*behaviour):
        made.append(WorkerProcess([sys.executable, str(FAKE), *behaviour]))
        return made[-1]

    yield make
    for process in made:
        process.stop()


def collect(worker, isEnough, seconds=15):
    """Polls until an event is enough; returns all events."""
    events, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        new = worker.poll()
        events += new
        if any(isEnough(event) for event in new):
            return events
        time.sleep(0.01)
    pytest.fail(f"waited in vain; got {events}")


def broken(event):
    return isinstance(event, Broken)


def lives(pid):
    """Whether the process runs; a child that was reaped by nobody yet counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(os.name == "nt", reason="a process does not become another one there")
def test_the_worker_alone_sees_its_own_packages_before_all_others(tmp_path):
    own, slicers = tmp_path / "own", tmp_path / "slicer's"
    for folder, version in ((own, "0.0.1"), (slicers, "2.0")):
        folder.mkdir()
        (folder / "scipy.py").write_text(f"__version__ = '{version}'")
    # As Slicer's Python, which is a launcher, does: its own folders come before those that it is given.
    launcher = tmp_path / "launcher.py"
    launcher.write_text(
        "import os, sys\n"
        f"os.environ['PYTHONPATH'] = os.pathsep.join([{str(slicers)!r}, os.environ['PYTHONPATH']])\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'RRLMedSAMEngine.worker'])\n"
    )
    process = WorkerProcess([sys.executable, str(launcher)])
    process.packages = str(own)
    process.send(protocol.Probe(1))
    try:
        answer = collect(process, lambda event: isinstance(event, protocol.Probed))[-1]
    finally:
        process.stop()
    assert answer.facts["scipy"] == "0.0.1" and str(own) not in sys.path


def test_the_worker_looks_there_before_it_imports_numpy():
    code = "import sys, RRLMedSAMEngine.worker; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=workerprocess.MODULE_FOLDER, check=False).returncode == 0


def launcher(folder, start, afterwards=""):
    """Command line of a launcher, as Slicer's Python is one. ``start``: arguments of Popen for the worker."""
    script = folder / "launcher.py"
    script.write_text(
        "import subprocess, sys\n"
        f"worker = subprocess.Popen({start})\n"
        "print(worker.pid, file=sys.stderr, flush=True)\n"
        f"exitCode = worker.wait()\n{afterwards}"
    )
    return [sys.executable, str(script)]


def workersPid(process):
    """What the launcher says; nothing else is in the log."""
    end = time.monotonic() + 15
    while not process.log:
        assert time.monotonic() < end and process.poll() == []
        time.sleep(0.01)
    return int(process.log.pop())


CTKS_END = """
if exitCode < 0:
    print("error: [/Slicer/bin/python-real] exit abnormally - Report the problem.", file=sys.stderr)
    exitCode = 1
sys.exit(exitCode)
"""


@pytest.mark.skipif(os.name == "nt", reason="kills by POSIX signals")
def test_a_worker_that_the_system_killed_behind_a_launcher_is_told_of_as_such(tmp_path):
    process = WorkerProcess(launcher(tmp_path, [sys.executable, str(FAKE), "killed"], CTKS_END))
    process.send(REQUEST)
    event = collect(process, broken)[-1]
    assert (event.kind, event.exitCode) == ("died", 1)
    assert "lack of memory" in messages.processFailure(event, 0).text
    # The next one ends without a word: that was not the same.
    process._command = [sys.executable, "-c", "import os; os._exit(1)"]
    process.send(REQUEST)
    assert "exit code 1" in messages.processFailure(collect(process, broken)[-1], 0).text


# Away from the launcher's group, so that it ends by itself, some time after its launcher.
SLOWLY = [sys.executable, "-c", "import sys, time; sys.stdin.read(); time.sleep(float(sys.argv[1]))"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_stopping_waits_for_the_worker_behind_its_launcher(tmp_path, monkeypatch):
    monkeypatch.setattr(workerprocess, "END_SECONDS", 10)  # the tests' machine is shared
    process = WorkerProcess(launcher(tmp_path, f"{[*SLOWLY, '0.5']}, start_new_session=True"))
    process.send(REQUEST)
    pid = workersPid(process)
    process.stop()
    time.sleep(0.1)
    assert not lives(pid) and not process.log


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_stopping_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(workerprocess, "END_SECONDS", 0.3)
    process = WorkerProcess(launcher(tmp_path, f"{[*SLOWLY, '60']}, start_new_session=True"))
    process.send(REQUEST)
    pid = workersPid(process)
    start = time.monotonic()
    process.stop()
    assert 0.3 <= time.monotonic() - start < 10
    assert list(process.log) == ["the worker does not end"] and not process.isRunning
    os.kill(pid, signal.SIGKILL)


def test_a_group_that_has_ended_but_was_not_waited_for_is_no_error(worker, monkeypatch):
    def forbidden(*_arguments):
        raise PermissionError(1, "Operation not permitted")  # as macOS says it

    monkeypatch.setattr(os, "killpg", forbidden, raising=False)
    process = worker("dying")
    process.send(REQUEST)
    assert collect(process, broken)[-1].kind == "died"


def test_a_command_that_does_not_exist_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        WorkerProcess([str(tmp_path / "no python")]).send(REQUEST)


def test_a_worker_that_ends_before_it_is_ready_could_not_start(worker):
    process = worker("mute")
    process.send(REQUEST)
    event = collect(process, broken)[-1]
    assert (event.kind, event.exitCode) == ("cannot_start", 3)
    assert "exit code 3" in messages.processFailure(event, 0).text


def test_a_worker_that_dies_is_noticed_with_its_last_words(worker):
    process = worker("dying")
    process.send(REQUEST)
    events = collect(process, broken)
    assert [type(event).__name__ for event in events] == ["Ready", "Progress", "Broken"]
    assert (events[-1].kind, events[-1].exitCode) == ("died", 137)
    assert "the last words" in process.log
    assert "lack of memory" in messages.processFailure(events[-1], 0).text
    assert not process.isRunning


def test_the_next_request_starts_a_new_worker(worker):
    process = worker("dying")
    for _attempt in range(2):
        process.send(REQUEST)
        assert collect(process, broken)[-1].kind == "died"


def test_stray_prints_are_logged_and_do_no_harm(worker, tmp_path):
    process = worker("chatty")
    process.send(protocol.Probe(1))
    events = collect(process, lambda event: broken(event) or isinstance(event, protocol.Progress))
    assert isinstance(events[-1], protocol.Progress)
    assert any("Loading weights" in line for line in process.log)
    assert any("broken bytes" in line for line in process.log)


def test_much_garbage_ends_the_worker(worker):
    process = worker("garbage")
    process.send(REQUEST)
    assert collect(process, broken)[-1].kind == "garbage"
    assert not process.isRunning


def test_endless_output_without_line_ends_is_cut(worker, monkeypatch):
    monkeypatch.setattr(workerprocess, "LONGEST_LINE", 10_000)
    process = WorkerProcess([sys.executable, "-c", "while True: print('x' * 5000, end='')"])
    process.send(REQUEST)
    try:
        assert collect(process, broken)[-1].kind == "garbage"
        assert len(process.log[0]) < 300
    finally:
        process.stop()


def test_another_protocol_version_is_garbage_at_once(worker):
    process = worker("otherversion")
    process.send(REQUEST)
    start = time.monotonic()
    assert collect(process, broken)[-1].kind == "garbage"
    assert time.monotonic() - start < 10


def test_a_silent_worker_is_ended(worker):
    process = worker("hanging")
    process.silenceSeconds = 0.5
    process.send(REQUEST)
    assert collect(process, broken)[-1].kind == "hanging"
    assert not process.isRunning


def test_a_sleeping_application_does_not_take_the_worker_for_silent(worker):
    process = worker("hanging")
    process.silenceSeconds = 3
    process.send(REQUEST)
    collect(process, lambda event: isinstance(event, protocol.Progress))
    time.sleep(3.5)  # as while the computer sleeps: nobody polls
    assert process.poll() == []
    assert 0 < process.silence <= 1.1


def test_an_idle_worker_is_never_taken_for_silent(worker):
    process = worker("politely")
    process.silenceSeconds = 0.2
    process.send(REQUEST)
    process.cancel(7)
    assert collect(process, lambda event: isinstance(event, protocol.Failed))[-1].code == "cancelled"
    for _turn in range(10):
        time.sleep(0.05)
        assert process.poll() == []
    assert process.isRunning


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_cancel_ends_a_deaf_worker_and_its_children_within_two_seconds(worker):
    process = worker("deaf")
    process.send(REQUEST)
    warned = collect(process, lambda event: isinstance(event, protocol.Warned))[-1]
    child = int(warned.text.split()[1])
    assert lives(child)
    start = time.monotonic()
    process.cancel(7)
    assert collect(process, broken)[-1].kind == "killed"
    assert time.monotonic() - start < 2
    assert not process.isRunning
    time.sleep(0.1)
    assert not lives(child)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_children_of_a_worker_that_died_end_with_it(worker, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, file=sys.stderr, flush=True)\n"
        "os._exit(9)\n"
    )
    process = WorkerProcess([sys.executable, str(script)])
    process.send(REQUEST)
    collect(process, broken)
    time.sleep(0.1)
    assert not lives(int(process.log[0]))


def test_a_large_request_to_a_worker_that_reads_nothing_does_not_block(worker):
    process = worker("mute")
    request = protocol.Segment(7, "x" * 1_000_000, REQUEST.atlas, [], REQUEST.target)
    start = time.monotonic()
    process.send(request)
    assert time.monotonic() - start < 1
    collect(process, broken)


def test_polling_is_quick(worker):
    process = worker("hanging")
    process.send(REQUEST)
    collect(process, lambda event: isinstance(event, protocol.Progress))
    start = time.monotonic()
    for _turn in range(100):
        process.poll()
    assert time.monotonic() - start < 0.5


def test_the_child_gets_the_modules_folder_and_quiet_threads(tmp_path):
    code = (
        "import os, sys, RRLMedSAMEngine.protocol\n"
        "print(os.environ['GOMP_SPINCOUNT'], sys.flags.utf8_mode, file=sys.stderr)\n"
    )
    process = WorkerProcess([sys.executable, "-c", code])
    process.send(REQUEST)
    event = collect(process, broken)[-1]
    assert event.exitCode == 0
    assert process.log[0] == "10000 1"
