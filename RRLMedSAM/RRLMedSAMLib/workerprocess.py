"""The worker's process and its pipes. No threads: everything happens in `WorkerProcess.poll`.

A thread that reads pipes starves while the application holds Python's interpreter lock, so the pipes are set
to non-blocking (on Windows from Python 3.12 on) and a timer or a script's loop polls them.
"""

import collections
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

from RRLMedSAMEngine import protocol

CHUNK = 1 << 16
LONGEST_LINE = 1 << 20
GARBAGE_LINES = 20  # in succession; a library's stray print is no reason to end a run
START_SECONDS = 120  # of Python itself, on a cold disk behind a virus scanner
SILENCE_SECONDS = 120  # the worker sends progress every 5 s or so; loading torch from a cold disk takes longer
CANCEL_SECONDS = 1.5
END_SECONDS = 3.0  # more than what the worker gives its run when its input closes
LOG_LINES = 200

MODULE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclasses.dataclass
class Broken:
    """The process is gone or was ended. ``kind``: a key of `messages.processFailure`; ``lastLine``: of its log."""

    kind: str
    exitCode: int | None = None
    lastLine: str = ""


class WorkerProcess:
    """Starts the worker when the first request comes, and again after it broke.

    ``command``: what to start instead of the engine's worker. ``packages``: a folder in which its Python looks for
    packages first, or None.
    """

    def __init__(self, command=None):
        self._command = command or [sys.executable, "-m", "RRLMedSAMEngine.worker"]
        self._process, self.packages = None, None
        self.log = collections.deque(maxlen=LOG_LINES)
        self.startSeconds, self.silenceSeconds = START_SECONDS, SILENCE_SECONDS
        self._reset()

    def _reset(self):
        self._output, self._errors, self._outbox = bytearray(), bytearray(), bytearray()
        self._garbage, self._lastLine = 0, ""
        self._silence = 0.0
        self._lastPoll = time.monotonic()
        self._isReady, self._request = False, None  # the id of the one that is not answered
        self._killTime = None

    # ------------------------------------------------------------ what the logic calls

    @property
    def isRunning(self):
        return self._process is not None and self._process.poll() is None

    @property
    def silence(self):
        """Seconds since the worker's last message while it has something to do."""
        return self._silence

    def send(self, request):
        """Queues a request; starts the worker where there is none. Raises OSError where it cannot start."""
        if not self.isRunning:
            self.stop()
            self._start()
        self._request, self._silence = request.id, 0.0
        self._outbox += protocol.encode(request).encode("ascii")
        self._write()

    def cancel(self, requestId, seconds=None):
        """Asks the worker to end the request, and ends the worker where it does not in so many seconds."""
        if not self.isRunning:  # `poll` says so
            return
        self._killTime = time.monotonic() + (seconds or CANCEL_SECONDS)
        self._outbox += protocol.encode(protocol.Cancel(requestId)).encode("ascii")
        self._write()

    def poll(self):
        """The events since the last call: the protocol's, and `Broken` as the last one where it ended."""
        if self._process is None:
            return []
        exitCode = self._process.poll()  # before reading: what it wrote before it ended is read below
        self._write()
        self._readErrors()
        events = self._readEvents()
        self._measureSilence(bool(events))
        broken = self._whatBroke(exitCode)
        if broken:
            self._kill()
            events.append(broken)
        return events

    def stop(self):
        """Ends the worker at once, with all that it started."""
        if self._process is not None:
            self._kill()

    # ------------------------------------------------------------ process

    def _start(self):
        environment = dict(os.environ)
        environment.update(PYTHONUNBUFFERED="1", PYTHONUTF8="1", GOMP_SPINCOUNT="10000")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [MODULE_FOLDER, environment.get("PYTHONPATH")]))
        if self.packages is not None:  # Slicer's Python puts its own folders before those of PYTHONPATH
            environment[protocol.OWN_PACKAGES] = self.packages
        # A group of its own: Slicer's Python is a launcher, and ending only that would leave the work running.
        if os.name == "nt":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        else:
            group = {"start_new_session": True}
            # Python's own choice, but an application may start Python without it: writing to a worker that has
            # just ended must be an error, not the application's end.
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        pipe = subprocess.PIPE
        # The application's working folder may be gone, as after a scene bundle was written, or hold other modules.
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=environment, cwd=MODULE_FOLDER, **group
        )
        for stream in self._streams():
            os.set_blocking(stream.fileno(), False)
        self._reset()

    def _streams(self):
        return self._process.stdin, self._process.stdout, self._process.stderr

    def _kill(self):
        """Ends the process and its children and forgets it."""
        process = self._process
        if os.name == "nt":
            command = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(command, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
        else:
            # All of the group has ended already; macOS calls it not permitted as long as nobody has waited for them.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.stdin.close()  # ends a worker whose launcher is gone, which taskkill does not find
        if not self._hasEnded():  # a driver's call holds it; nothing more can be done from here
            self._note("the worker does not end")
        for stream in self._streams():
            stream.close()
        self._process = None
        self._reset()

    def _hasEnded(self):
        """Waits a moment for the process and for its output's end: behind a launcher, the worker may end after it."""
        end = time.monotonic() + END_SECONDS
        while self._process.poll() is None or self._process.stdout.read(CHUNK) != b"":
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    # ------------------------------------------------------------ pipes

    def _write(self):
        while self._outbox:
            try:
                written = os.write(self._process.stdin.fileno(), self._outbox[:CHUNK])
            except BlockingIOError:
                return
            except OSError:  # it reads no more: `poll` finds out why
                self._outbox.clear()
                return
            if not written:
                return
            del self._outbox[:written]

    def _readErrors(self):
        self._errors += _available(self._process.stderr)
        for line in _lines(self._errors):
            self._lastLine = line
            self._note(line)

    def _readEvents(self):
        self._output += _available(self._process.stdout)
        events = []
        for line in _lines(self._output):
            try:
                event = protocol.decode(line, protocol.EVENTS)
            except protocol.ProtocolError:
                self._garbage = GARBAGE_LINES if _hasOtherVersion(line) else self._garbage + 1
                self._note(f"unexpected output: {line[:200]}")
                continue
            self._garbage = 0
            self._isReady = True
            if isinstance(event, protocol.ANSWERS) and event.id == self._request:
                self._request = self._killTime = None
            events.append(event)
        return events

    def _note(self, line):
        self.log.append(line)

    # ------------------------------------------------------------ health

    def _measureSilence(self, hasSpoken):
        # Counted in short steps: the worker slept too while the computer or the application did.
        now = time.monotonic()
        self._silence = 0.0 if hasSpoken or self._request is None else self._silence + min(now - self._lastPoll, 1.0)
        self._lastPoll = now

    def _whatBroke(self, exitCode):
        if exitCode is not None:
            return Broken("died" if self._isReady else "cannot_start", exitCode, self._lastLine)
        if self._killTime is not None and time.monotonic() > self._killTime:
            return Broken("killed")
        if self._garbage >= GARBAGE_LINES:
            return Broken("garbage")
        if self._silence > (self.silenceSeconds if self._isReady else self.startSeconds):
            return Broken("hanging")
        return None


def _available(stream):
    """What can be read without waiting."""
    read = bytearray()
    while len(read) < LONGEST_LINE and (chunk := stream.read(CHUNK)):
        read += chunk
    return read


def _lines(buffer):
    """Takes the complete lines out of the buffer; a line without end is cut."""
    end = buffer.rfind(b"\n") + 1
    if not end and len(buffer) > LONGEST_LINE:
        end = len(buffer)
    lines = bytes(buffer[:end]).decode("utf-8", "replace").splitlines()
    del buffer[:end]
    return [line for line in lines if line.strip()]


def _hasOtherVersion(line):
    try:
        return json.loads(line).get("protocol", protocol.VERSION) != protocol.VERSION
    except (ValueError, AttributeError, RecursionError):
        return False
