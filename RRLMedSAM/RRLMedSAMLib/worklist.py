"""Many targets, one after the other: volumes of the scene, and files that never enter it."""

import os
import time

import slicer
from RRLMedSAMEngine.errors import HOPELESS
from RRLMedSAMEngine.targets import target_name, unique_names

from . import messages
from .errors import RunError
from .messages import _


class Entry:
    """A target: ``node``, a volume of the scene, or ``path``, of a file or DICOM folder; the other one is None.

    ``name``: of a file's result, instead of its own.
    ``state``: new, waiting, running, finished, failed or cancelled. ``task``: its run. ``report``: the engine's facts;
    ``segmentation``: the result's node; ``output``: the folder of the result's files. ``seconds``: how long it took.
    """

    def __init__(self, node=None, path=None, name=None):
        self.node, self.path = node, path
        self._name = name or (path and target_name(path))
        self.isChecked = node is None
        self.reset("new")

    def reset(self, state):
        self.state, self.task, self.error = state, None, None
        self.report = self.segmentation = self.output = self.seconds = None

    @property
    def name(self):
        return self.node.GetName() if self.node is not None else self._name

    @property
    def source(self):
        """What tells targets of one name apart: the node's ID or the path."""
        return self.node.GetID() if self.node is not None else self.path

    @property
    def isActive(self):
        return self.state in ("waiting", "running")


class Worklist:
    """The entries in their order, and their runs on the worker of an `OneShotLogic`.

    ``onChanged(entry)``: called when an entry's state or progress changes, ``onFinished(entry)`` after it when it has a
    result, ``onEnded()`` when nothing is left to do.
    """

    def __init__(self, logic, onChanged, onFinished, onEnded):
        self._logic, self._onChanged, self._onFinished, self._onEnded = logic, onChanged, onFinished, onEnded
        self.entries = []
        self._start = None
        self._running = None

    @property
    def canRetry(self):
        """Whether an entry may be tried again: not while the worker does something else than the list."""
        return self._start is not None and (self.isActive or not self._logic.isBusy)

    @property
    def isActive(self):
        return any(entry.isActive for entry in self.entries)

    # ------------------------------------------------------------ entries

    def setVolumes(self, nodes):
        """Brings the entries of the scene's volumes in line with ``nodes``; those of files follow them."""
        known = {id(entry.node): entry for entry in self.entries if entry.node is not None}
        ofNodes = [known.get(id(node)) or Entry(node=node) for node in nodes]
        gone = [entry for entry in known.values() if entry not in ofNodes and entry.state != "new"]
        self.entries = ofNodes + gone + [entry for entry in self.entries if entry.node is None]

    def addFiles(self, paths):
        """Adds the targets that are not in the list yet, each with a name of its own."""
        files = [entry for entry in self.entries if entry.path is not None]
        known = {entry.path for entry in files}
        new = [path for path in paths if path not in known]
        names = unique_names(new, [entry.name for entry in files])
        self.entries += [Entry(path=path, name=name) for path, name in zip(new, names)]

    def remove(self, entry):
        """Takes an entry off the list; its result stays."""
        self.cancel(entry)
        self.entries.remove(entry)

    def clear(self):
        """Ends everything and forgets all entries."""
        self.cancelAll()
        self.entries, self._start = [], None

    # ------------------------------------------------------------ runs

    def start(self, entries, atlasVolume, atlasSegmentation, outputFolder="", overwrite=False, **settings):
        """Segments the entries, each after the one before; ``settings``: those of `OneShotLogic.segment`.

        ``outputFolder``: absolute path, where files' results go. Raises RuntimeError while another run goes on, and
        RunError for files without a folder or with the same name.
        """
        if self.isActive or self._logic.isBusy:
            raise RuntimeError("Another run is going on.")
        _checkFiles([entry for entry in entries if entry.path], outputFolder)

        def begin(entry):
            callbacks = {"onProgress": self._onProgress, "onFinished": self._onTaskEnded, "onFailed": self._onTaskEnded}
            atlas = atlasVolume, atlasSegmentation
            if entry.path:
                options = {"overwrite": overwrite, **settings, **callbacks}
                return self._logic.segmentFile(*atlas, entry.path, outputFolder, entry.name, **options)
            return self._logic.segment(*atlas, entry.node, **settings, **callbacks)

        self._start = begin
        for entry in entries:
            entry.reset("waiting")
            self._onChanged(entry)
        self._next()

    def retry(self, entry):
        """Segments an entry again, with what was chosen at the last start; it waits for others of the list.

        Raises RuntimeError unless `canRetry`.
        """
        if not self.canRetry:
            raise RuntimeError("Another run is going on.")
        entry.reset("waiting")
        self._onChanged(entry)
        if self._running is None:
            self._next()

    def cancel(self, entry):
        if entry.state == "waiting":
            self._end(entry, "cancelled")
        elif entry is self._running:
            self._logic.cancel()

    def cancelAll(self):
        for entry in [entry for entry in self.entries if entry.state == "waiting"]:
            self._end(entry, "cancelled")
        if self._running is not None:
            self._logic.cancel()

    def _next(self):
        """Starts the next one that waits and can be started."""
        for entry in [entry for entry in self.entries if entry.state == "waiting"]:
            entry.state, self._running, self._began = "running", entry, time.monotonic()
            try:
                if entry.node is not None and not slicer.mrmlScene.IsNodePresent(entry.node):
                    raise RunError(
                        "input_missing",
                        _("The target volume is no longer in the scene."),
                        _("Load it again and check it in the list."),
                    )
                entry.task = self._start(entry)
                self._onChanged(entry)
                return
            except RunError as error:
                self._running = None
                self._fail(entry, error)
            except Exception as error:
                self._running = None
                self._fail(entry, messages.unexpected(error))
                self._next()  # it costs its target alone
                raise
        self._onEnded()

    def _onProgress(self, _task):
        if self._running is not None:
            self._onChanged(self._running)

    def _onTaskEnded(self, task):
        entry, self._running = self._running, None
        entry.seconds = time.monotonic() - self._began
        try:
            if task.error is not None:
                self._fail(entry, task.error)
                return
            entry.report = task.report
            if entry.path:
                entry.output = task.output
            else:
                entry.segmentation = task.nodes.segmentation
            self._end(entry, "finished")
            self._onFinished(entry)
        finally:
            self._next()

    def _fail(self, entry, error):
        failed = [entry]
        if error.code in HOPELESS:
            failed += [other for other in self.entries if other.state == "waiting"]
        for each in failed:
            each.error = error
            self._end(each, "cancelled" if error.code == "cancelled" else "failed")

    def _end(self, entry, state):
        entry.state, entry.task = state, None
        self._onChanged(entry)


def _checkFiles(entries, outputFolder):
    if entries and not os.path.isdir(outputFolder):
        raise RunError("bad_input", _("There is no folder for the results of the files."), _("Choose one that exists."))
    names = [entry.name.casefold() for entry in entries]
    if len(set(names)) < len(names):
        raise RunError(
            "bad_input",
            _("Two files have the same name, so that their results would share a folder."),
            _("Rename one, or segment them one after the other into two folders."),
        )
