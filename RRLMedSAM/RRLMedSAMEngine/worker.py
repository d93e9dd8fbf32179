"""The worker: a process that computes for the panel, for as long as the panel lives.

Requests come as lines on standard input, events leave as lines on standard output (see `protocol`). A thread of its
own reads them, so that Cancel is heard while the main thread computes. The process ends when its input closes, as it
does when the panel dies. Started with ``python -m RRLMedSAMEngine.worker``.
"""

import gc
import os
import queue
import sys
import threading
import time

from . import __version__, allocator, probe, protocol, streams
from .errors import Cancelled, EngineError, bad_input
from .failures import as_engine_error, trace

HEARTBEAT_SECONDS = 3.0  # of silence, after which a run repeats its progress
LOOK_SECONDS = 1.0  # between two looks at how long it has been silent
SHORTEST_SECONDS = 0.1  # at least, between two progress messages of one stage
PARTING_SECONDS = 2.0  # that a run has for taking back its files when the input closes
LONGEST_LINE = 1 << 20


def load():
    """`computation.compute`, and torch with it. Raises EngineError no_torch."""
    # Slicer's launcher sets it, and a SimpleITK from PyPI, built with another ITK, may crash when it loads Slicer's
    # plugins for files. Slicer itself clears it for its command line modules.
    os.environ.pop("ITK_AUTOLOAD_PATH", None)
    try:
        from .computation import compute
    except (ImportError, OSError) as error:  # OSError: a library that torch needs does not load
        name = getattr(error, "name", None)
        missing = "PyTorch" if name in (None, "torch") else f"The package {name}"
        raise EngineError("no_torch", f"{missing} is missing, or cannot be loaded.", "Install it.") from error
    if not probe.exchanges_arrays():
        raise EngineError(
            "no_torch", "This PyTorch does not work with this NumPy.",
            "Click 'Install what is missing' in the section Set-up; for the command line, install NumPy 1.",
        )  # fmt: skip
    return compute


class Run:
    """One request, as its three threads share it: reader, heartbeat and computation."""

    def __init__(self, request: protocol.Segment | protocol.SegmentFile | protocol.Refine | protocol.Adapt, tell):
        self.request = request
        self.started = False
        self.cancelled, self.ended = threading.Event(), threading.Event()
        self._tell, self._lock = tell, threading.Lock()
        self._latest, self._told = None, 0.0
        self.progress("read", 0.0, None)
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def progress(self, stage: str, fraction: float, seconds_left: float | None) -> None:
        with self._lock:
            is_new = self._latest is None or self._latest.stage != stage
            self._latest = protocol.Progress(self.request.id, stage, fraction, seconds_left)
            if is_new or time.monotonic() - self._told >= SHORTEST_SECONDS:
                self._tell_latest()

    def warn(self, text: str) -> None:
        self._tell(protocol.Warned(self.request.id, text))

    def end(self, message) -> None:
        """Sends the last message; none of the run follows it."""
        with self._lock:
            self.ended.set()
            self._tell(message)

    def _beat(self):
        while not self.ended.wait(LOOK_SECONDS):
            with self._lock:
                if not self.ended.is_set() and time.monotonic() - self._told >= HEARTBEAT_SECONDS:
                    self._tell_latest()

    def _tell_latest(self):
        self._tell(self._latest)
        self._told = time.monotonic()


class Worker:
    """``tell``: callable that sends a message. ``load``: callable that returns what computes a request."""

    def __init__(self, tell, load=load):
        self._tell, self._load = tell, load
        self._waiting = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._run: Run | None = None  # accepted and not ended

    # ------------------------------------------------------------ the reader's thread

    def read(self, stream) -> None:
        """Takes requests until the input closes, then ends the process."""
        try:
            while line := stream.readline(LONGEST_LINE):
                try:
                    self._take(protocol.decode(line.decode("ascii", "replace"), protocol.REQUESTS))
                except protocol.ProtocolError:
                    streams.note("ignored a line that is no request")
        except OSError as error:  # the panel does not read its end any more
            streams.note(trace(error))
        with self._lock:
            run = self._run
        if run is not None:
            run.cancelled.set()
            run.ended.wait(PARTING_SECONDS)
        os._exit(0)

    def _take(self, request):
        with self._lock:
            run = self._run
            if isinstance(request, protocol.Probe):
                self._waiting.put(request)
            elif isinstance(request, protocol.Cancel):
                if run is None or run.request.id != request.id:
                    streams.note("ignored a Cancel without its run")
                    return
                run.cancelled.set()
                if not run.started:
                    self._run = None
                    run.end(_failed(request, Cancelled()))
            elif run is not None:
                busy = bad_input("Another run is still going on.", "Wait for it, or cancel it.")
                self._tell(_failed(request, busy))
            else:
                self._run = Run(request, self._tell)
                self._waiting.put(self._run)

    # ------------------------------------------------------------ the main thread

    def work(self) -> None:
        """Loads torch, then does what is asked, one thing after the other; does not return."""
        try:
            self._load()
        except Exception as error:  # each request is told so
            streams.note(trace(error))
        while True:
            task = self._waiting.get()
            if isinstance(task, protocol.Probe):
                self._tell(self._look(task))
            elif self._start(task):
                task.end(self._compute(task))
                gc.collect()
                allocator.give_back()

    def _look(self, request: protocol.Probe):
        """The answer to a Probe."""
        try:
            return protocol.Probed(request.id, probe.facts())
        except Exception as error:  # a library or a driver may fail in any way
            return _failure(request, error)

    def _start(self, run: Run) -> bool:
        with self._lock:
            run.started = self._run is run
            return run.started

    def _compute(self, run: Run):
        """The run's last message."""
        try:
            return self._load()(
                run.request,
                progress=run.progress,
                warn=run.warn,
                tell=self._tell,
                cancelled=run.cancelled.is_set,
                finish=lambda: self._finish(run),
            )
        except Exception as error:
            return _failure(run.request, error)
        finally:
            with self._lock:
                self._run = None

    def _finish(self, run):
        """From here on the run cannot be cancelled any more."""
        with self._lock:
            if run.cancelled.is_set():
                raise Cancelled()
            self._run = None


def _failure(request, error: Exception) -> protocol.Failed:
    """The answer where anything was raised; the log gets the place."""
    failure = as_engine_error(error)
    if failure.code != "cancelled":
        streams.note(trace(error))
    return _failed(request, failure)


def _failed(request, error: EngineError) -> protocol.Failed:
    return protocol.Failed(request.id, error.code, error.text, error.action)


def main(load=load) -> None:
    """Runs the worker on this process's standard streams; does not return."""
    if packages := os.environ.get(protocol.OWN_PACKAGES):
        sys.path.insert(0, packages)  # before numpy is imported
    requests, events = streams.claim_stdin(), streams.claim_stdout()
    streams.keep_log_private()
    lock = threading.Lock()

    def tell(message):
        with lock:
            events.write(protocol.encode(message).encode("ascii"))
            events.flush()

    try:
        tell(protocol.Ready(os.getpid(), __version__))
        worker = Worker(tell, load)
        threading.Thread(target=worker.read, args=[requests], name="reader", daemon=True).start()
        worker.work()
    except BaseException as error:  # the panel does not read its end any more
        streams.note(trace(error))
    finally:
        os._exit(1)  # at once: the other threads sit in reads that do not return


if __name__ == "__main__":
    main()
