"""One run on a target in a file: from a click to the files of its result, without a node in the scene."""

from RRLMedSAMEngine import ownership, protocol
from RRLMedSAMEngine.geometry import to_rows

from . import messages
from .atlaslabels import AtlasLabels
from .errors import RunError
from .exchange import ExchangeFolder, removeStaleFolders
from .messages import _
from .scene import terminology
from .sceneinput import AtlasInputs, imageArray
from .task import Task


class FileRun(Task):
    """``output``: the folder that the target got, ``report``: the engine's facts about it, when it has finished."""

    def __init__(self, inputs: AtlasInputs, path, outputFolder, name, overwrite, settings, worker):
        """``path``: absolute, of the target's file or DICOM folder; ``name``: of the folder for its files.

        ``settings``: effort, device, model, seed.
        """
        super().__init__(worker)
        self.inputs, self.settings = inputs, settings
        self._path, self._outputFolder, self._name, self._overwrite = path, outputFolder, name, overwrite
        self.output = self.report = None

    def _checkInputs(self):
        if self.state == "preparing" and self.inputs.missing() is not None:
            self.stop(messages.inputMissing(self.inputs.missing()))

    def _steps(self):
        removeStaleFolders()
        folder = ExchangeFolder()
        try:
            labels = AtlasLabels(self.inputs)
            request = yield from self._prepare(folder, labels)
            written = yield from self._compute(request)
            self.output, self.report = written.output, written.report
        finally:
            folder.remove()
            ownership.remove_abandoned_parts(self._outputFolder)  # of a worker that was killed

    def _prepare(self, folder, labels):
        """Copies the atlas into the folder; returns the request."""
        for _step in labels.steps():
            yield
        if len(labels.layers) > 1:
            raise RunError(
                "bad_input",
                _("Segments of the atlas overlap, for which the files of a result have no room."),
                _("Remove the overlap in the Segment Editor, or load the targets into the scene."),
            )
        atlas = imageArray(self.inputs.atlasVolume.GetImageData())
        yield from self._write(folder, [("atlas.npy", atlas), ("labels.npy", labels.layers[0])])
        return protocol.SegmentFile(
            id=self._id,
            folder=folder.path,
            atlas=protocol.Array("atlas.npy", to_rows(self.inputs.atlasVoxelToLps)),
            atlas_labels=protocol.Array("labels.npy", to_rows(labels.voxelToLps)),
            structures=[
                protocol.Structure(
                    number, structure.segment.GetName(), structure.segment.GetColor(), terminology(structure.segment)
                )
                for number, structure in enumerate(labels.structures, start=1)
            ],
            target=self._path,
            output=self._outputFolder,
            name=self._name,
            overwrite=self._overwrite,
            **self.settings,
        )
