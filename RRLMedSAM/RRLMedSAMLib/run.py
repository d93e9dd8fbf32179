"""One run: from a click to new nodes in the scene, or to an error."""

import errno
import itertools

from RRLMedSAMEngine import protocol
from RRLMedSAMEngine.geometry import to_rows

from . import messages
from .atlaslabels import AtlasLabels
from .errors import RunError
from .exchange import ExchangeFolder, pieces, removeStaleFolders, writing
from .sceneinput import Inputs, imageArray
from .sceneoutput import Result
from .workerprocess import Broken

PREPARED, COMPUTED = 0.05, 0.97  # fractions of the progress bar
WAITING = object()  # yielded where nothing can be done before the worker speaks

_ids = itertools.count(1)


class Run:
    """``state``: preparing, running, writing, then finished, failed or cancelled.

    ``error`` is the `RunError` of a run that failed or was cancelled, ``nodes`` the `ResultNodes` of one that
    finished, ``report`` the engine's facts about it.
    """

    def __init__(self, inputs: Inputs, settings, worker):
        self.inputs, self.settings = inputs, settings
        self.state, self.stage = "preparing", "prepare"
        self.fraction, self.secondsLeft = 0.0, None
        self.warnings = []
        self.error = self.nodes = self.report = None
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
        """Ends the run with the `RunError`; a worker that computes is given a moment to end by itself."""
        if not self.isActive or self._stopReason is not None:
            return
        self._stopReason, self.stage, self.secondsLeft = reason, "cancel", None
        if self.state == "running":
            self._worker.cancel(self._id)

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
        """Ends the run at once, without waiting for the worker."""
        self._end(messages.cancelled())

    def _end(self, error):
        self._work.close()
        self.error = error
        self.state = "cancelled" if error.code == "cancelled" else "failed"

    def _checkInputs(self):
        role = self.inputs.missing()
        if role is not None:
            self.stop(messages.inputMissing(role))
        elif self.inputs.targetHasChanged():
            self.stop(messages.targetChanged())

    # ------------------------------------------------------------ the work, in steps

    def _steps(self):
        removeStaleFolders()
        folder = ExchangeFolder()
        try:
            labels = AtlasLabels(self.inputs)
            request = yield from self._prepare(folder, labels)
            segmented = yield from self._compute(request)
            self.state, self.stage = "writing", "show"
            result = Result(self.inputs, labels.structures, segmented, folder.file)
            self.report = result.report
            for _step in result.steps():
                yield
            self.nodes = result.addToScene()
        finally:
            folder.remove()

    def _prepare(self, folder, labels):
        """Copies the inputs into the folder; returns the request."""
        for _step in labels.steps():
            yield
        inputs = self.inputs
        atlas, target = (imageArray(node.GetImageData()) for node in (inputs.atlasVolume, inputs.target))
        files = [("atlas.npy", atlas), ("target.npy", target)]
        files += [(f"labels{number}.npy", layer) for number, layer in enumerate(labels.layers)]
        total = sum(len(pieces(array.shape)) for _file, array in files)
        for name, array in files:
            for _step in writing(folder.file(name), array):
                self.fraction += PREPARED / total
                yield
        return protocol.Segment(
            id=self._id,
            folder=folder.path,
            atlas=protocol.Array("atlas.npy", to_rows(inputs.atlasVoxelToLps)),
            target=protocol.Array("target.npy", to_rows(inputs.targetVoxelToLps)),
            atlas_labels=[protocol.Array(name, to_rows(labels.voxelToLps)) for name, _array in files[2:]],
            **self.settings,
        )

    def _compute(self, request):
        """Sends the request; returns the worker's `Segmented`."""
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
                if getattr(event, "id", self._id) == self._id:
                    segmented = self._receive(event)
                    if segmented:
                        return segmented
            yield WAITING

    def _receive(self, event):
        """Takes an event of this run; returns it if it is the result."""
        if isinstance(event, protocol.Failed):
            raise self._stopReason or RunError(event.code, event.text, event.action)
        if isinstance(event, protocol.Warned):
            self.warnings.append(event.text)
        elif isinstance(event, protocol.Progress) and self._stopReason is None:
            self.stage, self.secondsLeft = event.stage, event.seconds_left
            self.fraction = PREPARED + (COMPUTED - PREPARED) * min(max(event.fraction, 0.0), 1.0)
        elif isinstance(event, protocol.Segmented):
            if self._stopReason is not None:
                raise self._stopReason
            return event
        return None
