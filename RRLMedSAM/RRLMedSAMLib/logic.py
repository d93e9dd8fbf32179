"""What the module does, without widgets: one run at a time, on one worker that stays warm between runs."""

import time

from RRLMedSAMEngine import protocol
from RRLMedSAMEngine.targets import target_name

from . import messages
from .adaptation import Adaptation
from .exchange import removeStaleFolders
from .filerun import FileRun
from .probe import ProbeTask
from .refinement import Refinement
from .run import Run
from .sceneinput import AtlasInputs, Inputs
from .workerprocess import WorkerProcess

TICK_SECONDS = 0.03  # of work between two turns of the application's event loop
TICK_INTERVAL_MS = 20


class OneShotLogic:
    """Segments targets from one annotated atlas.

    ``timer``: a qt.QTimer that drives runs in the application; without one, `wait` does.
    ``worker``: what to use instead of a `WorkerProcess`.
    """

    def __init__(self, timer=None, worker=None):
        removeStaleFolders()
        self.worker = worker or WorkerProcess()
        self._run = None
        self._callbacks = {}
        self._isTicking = False
        self._timer = timer
        if timer is not None:
            timer.setInterval(TICK_INTERVAL_MS)
            timer.timeout.connect(self.tick)

    @property
    def isBusy(self):
        return self._run is not None

    def segment(
        self,
        atlasVolume,
        atlasSegmentation,
        target,
        effort="balanced",
        device="auto",
        model="auto",
        seed=0,
        onProgress=None,
        onFinished=None,
        onFailed=None,
    ):
        """Starts a run and returns it at once, a `Run`; the callbacks get it as argument.

        ``atlasSegmentation``: segmentation node or label map volume node. ``onFailed`` is for cancelled runs too.
        ``model``: ``auto`` (the shipped model that was adapted to exactly this atlas, or else a general one, where it
        has measured better at this effort; otherwise instant), ``instant`` (registration alone), a shipped model's
        name, or the absolute path of a package NAME.rrl. One that cannot be used ends the run with the error
        ``bad_model``.
        Raises `RunError` where the nodes cannot be used, ValueError for an unknown effort or device, and
        RuntimeError while another run goes on.
        """
        settings = self._settings(effort, device, model, seed)
        run = Run(Inputs(atlasVolume, atlasSegmentation, target), settings, self.worker)
        return self._begin(run, onProgress, onFinished, onFailed)

    def segmentFile(
        self,
        atlasVolume,
        atlasSegmentation,
        path,
        outputFolder,
        name="",
        overwrite=False,
        effort="balanced",
        device="auto",
        model="auto",
        seed=0,
        onProgress=None,
        onFinished=None,
        onFailed=None,
    ):
        """Starts a run on a target in a file, or DICOM folder, and returns it at once, a `FileRun`.

        The target's files, as `run.py segment` writes them, go into a folder of its own in ``outputFolder``, called
        ``name`` or as the target, and nothing into the scene. Both paths are absolute. Callbacks, options and errors:
        as those of `segment`.
        """
        settings = self._settings(effort, device, model, seed)
        inputs = AtlasInputs(atlasVolume, atlasSegmentation)
        run = FileRun(inputs, path, outputFolder, name or target_name(path), overwrite, settings, self.worker)
        return self._begin(run, onProgress, onFinished, onFailed)

    def adapt(
        self,
        atlasVolume,
        atlasSegmentation,
        scans,
        output,
        scanFolder="",
        examples=(),
        minutes=30.0,
        device="auto",
        base=protocol.BASE,
        seed=0,
        onProgress=None,
        onFinished=None,
        onFailed=None,
    ):
        """Starts adapting a model to the atlas and returns the `Adaptation` at once; callbacks as those of `segment`.

        ``scans``: unlabelled volume nodes; ``scanFolder``: absolute path of a folder with files of more. ``examples``:
        further volumes with their segmentations, whose segments have the IDs of the atlas's, as those of a corrected
        result have. ``output``: absolute path of the package, NAME.rrl. ``base``: model to begin with, a shipped name
        or a package's path, or "" for none. `cancel` pauses it: started again with the same ``output`` it goes on.
        Raises as `segment` does.
        """
        if device not in protocol.DEVICES:
            raise ValueError(f"device must be one of {protocol.DEVICES}")
        self._checkIdle()
        settings = {"minutes": float(minutes), "device": device, "base": base, "seed": seed}
        inputs = AtlasInputs(atlasVolume, atlasSegmentation)
        task = Adaptation(inputs, list(scans), scanFolder, examples, output, settings, self.worker)
        return self._begin(task, onProgress, onFinished, onFailed)

    def refine(self, segmentation, device="auto", onProgress=None, onFinished=None, onFailed=None):
        """Starts the last stages once more around the corrected segments of a result; returns the `Refinement` at once.

        A new result beside the corrected one keeps every corrected voxel; the segments around follow. Callbacks and
        errors: as those of `segment`.
        """
        if device not in protocol.DEVICES:
            raise ValueError(f"device must be one of {protocol.DEVICES}")
        self._checkIdle()
        return self._begin(Refinement(segmentation, device, self.worker), onProgress, onFinished, onFailed)

    def probe(self, onFinished=None, onFailed=None):
        """Asks the worker what it runs on and returns the `ProbeTask` at once; callbacks as those of `segment`.

        Raises RuntimeError while a run goes on.
        """
        self._checkIdle()
        return self._begin(ProbeTask(self.worker), None, onFinished, onFailed)

    def _settings(self, effort, device, model, seed):
        if effort not in protocol.EFFORTS or device not in protocol.DEVICES:
            raise ValueError(f"effort must be one of {protocol.EFFORTS}, device one of {protocol.DEVICES}")
        self._checkIdle()
        return {"effort": effort, "device": device, "model": str(model), "seed": seed}

    def _checkIdle(self):
        if self.isBusy:
            raise RuntimeError("Another run is going on.")

    def segmentAndWait(self, *arguments, **options):
        """Like `segment`, but returns the `ResultNodes` when they are in the scene. Raises `RunError`."""
        run = self.segment(*arguments, **options)
        self.wait(run)
        if run.error is not None:
            raise run.error
        return run.nodes

    def wait(self, run):
        """Drives a run to its end; the application does nothing else meanwhile."""
        while run.isActive:
            self.tick()
            time.sleep(0.005)

    def cancel(self):
        """Ends the run; its ``onFailed`` is called within about 2 s."""
        if self._run is not None:
            self._run.stop(messages.cancelled())

    def restartWorker(self):
        """Ends the idle worker, so that the next run starts one that sees newly installed packages."""
        self.worker.stop()

    def cleanup(self):
        """Ends everything at once; for the end of the application or a reload of the module."""
        if self._timer is not None:
            self._timer.stop()
        run, self._run = self._run, None
        self.worker.stop()  # first: a living worker holds the files that the run takes back
        if run is not None:
            run.abandon()

    def tick(self):
        """Works for a moment on the run; for a timer or a loop."""
        run = self._run
        if run is None or self._isTicking:
            return
        self._isTicking = True
        try:
            end = time.monotonic() + TICK_SECONDS
            while run.isActive and run.step() and time.monotonic() < end:
                pass
            self._notify("progress", run)
        finally:
            self._isTicking = False
            if not run.isActive and run is self._run:
                self._finish(run)

    def _begin(self, task, onProgress, onFinished, onFailed):
        self._callbacks = {"progress": onProgress, "finished": onFinished, "failed": onFailed}
        self._run = task
        self._notify("progress", task)
        if self._timer is not None:
            self._timer.start()
        return task

    def _finish(self, run):
        # Idle first: a callback may start the next run.
        self._run = None
        if self._timer is not None:
            self._timer.stop()
        self._notify("finished" if run.error is None else "failed", run)

    def _notify(self, kind, run):
        callback = self._callbacks.get(kind)
        if callback is not None:
            callback(run)
