"""A task of the worker: from a click to its result, or to an error. What all tasks share."""

import errno
import itertools

from RRLMedSAMEngine import protocol

from . import messages
from .answers import isSound
from .enginetexts import translated
from .errors import RunError
from .exchange import pieces, writing
from .workerprocess import Broken

PREPARED, COMPUTED = 0.05, 0.97  # fractions of the progress bar
WAITING = object()  # yielded where nothing can be done before the worker speaks

_ids = itertools.count(1)


class Task:
    """``state``: preparing, running, writing, then finished, failed or cancelled.

    ``error`` is the `RunError` of a task that failed or was cancelled. A kind of task has `_steps`, a generator that
    does the work, a few milliseconds at each step.
    """

    patience = None  # seconds that a worker has to end this kind of task by itself; None: its own

    def __init__(self, worker):
        self.state, self.stage = "preparing", "prepare"
        self.fraction, self.secondsLeft = 0.0, None
        self.warnings = []
        self.error = None
        self._id = next(_ids)
        self._worker = worker
        self._stopReason = None
        self._work = self._steps()

    @property
    def isActive(self):
        return self.state in ("preparing", "running", "writing")

    @property
    def isStopping(self):
        return self.isActive and self._stopReason is not None

    def stop(self, reason):
        """Ends the task with the `RunError`; a worker that computes is given a moment to end by itself."""
        if not self.isActive or self._stopReason is not None:
            return
        self._stopReason, self.stage, self.secondsLeft = reason, "cancel", None
        if self.state == "running":
            self._worker.cancel(self._id, self.patience)

    def step(self):
        """Does a few milliseconds of work. Returns False where there is nothing to do but wait."""
        try:
            self._checkInputs()
            if self._stopReason is not None and self.state != "running":
                raise self._stopReason
            return next(self._work) is not WAITING
        except StopIteration:
            self.state, self.fraction = "finished", 1.0
        except RunError as error:
            self._end(error)
        except OSError as error:
            isFull = error.errno in (errno.ENOSPC, errno.EDQUOT)
            self._end(messages.diskFull() if isFull else messages.unexpected(error))
            if not isFull:
                raise
        except Exception as error:
            self._end(messages.unexpected(error))
            raise
        return False

    def abandon(self):
        """Ends the task at once, without waiting for the worker."""
        self._end(messages.cancelled())

    def _end(self, error):
        self._work.close()
        self.error = error
        self.state = "cancelled" if error.code == "cancelled" else "failed"

    def _checkInputs(self):
        """Stops the task where the scene has changed so that its result would be of no use."""

    def _write(self, folder, files):
        """Copies arrays, each with the name of its file, into the exchange folder."""
        total = sum(len(pieces(array.shape)) for _name, array in files)
        for name, array in files:
            for _step in writing(folder.file(name), array):
                self.fraction += PREPARED / total
                yield

    def _compute(self, request):
        """Sends the request; returns the worker's answer."""
        try:
            self._worker.send(request)
        except OSError as error:
            raise messages.cannotStart(error) from error
        self.state, self.stage, self.fraction = "running", "start", PREPARED
        while True:
            silence = self._worker.silence
            for event in self._worker.poll():
                if isinstance(event, Broken):
                    raise self._stopReason or messages.processFailure(event, silence)
                if getattr(event, "id", self._id) == self._id and self._isAnswer(event):
                    return event
            yield WAITING

    def _isAnswer(self, event):
        """Takes an event of this task; raises `RunError` for one that ends it without a result."""
        if isinstance(event, protocol.Failed):
            raise self._stopReason or RunError(event.code, translated(event.text), translated(event.action))
        if isinstance(event, protocol.Warned):
            self.warnings.append(event.text)
        elif isinstance(event, protocol.Progress) and self._stopReason is None:
            self.stage, self.secondsLeft = event.stage, event.seconds_left
            self.fraction = PREPARED + (COMPUTED - PREPARED) * min(max(event.fraction, 0.0), 1.0)
        if not isSound(event):
            raise self._stopReason or messages.processFailure(Broken("garbage"), 0)
        return isinstance(event, protocol.ANSWERS)
