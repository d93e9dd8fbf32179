"""One run: from a click to new nodes in the scene, or to an error."""

from RRLMedSAMEngine import protocol
from RRLMedSAMEngine.geometry import to_rows

from . import messages
from .atlaslabels import AtlasLabels
from .exchange import ExchangeFolder, removeStaleFolders
from .sceneinput import Inputs, imageArray
from .sceneoutput import Result
from .task import Task


class Run(Task):
    """Segments one target.

    ``nodes``: the `ResultNodes` of a run that finished, ``report``: the engine's facts about it.
    """

    def __init__(self, inputs: Inputs, settings, worker):
        super().__init__(worker)
        self.inputs, self.settings = inputs, settings
        self.nodes = self.report = None

    def _checkInputs(self):
        role = self.inputs.missing()
        if role is not None:
            self.stop(messages.inputMissing(role))
        elif self.inputs.targetHasChanged():
            self.stop(messages.targetChanged())

    def _steps(self):
        removeStaleFolders()
        folder = ExchangeFolder()
        try:
            labels = AtlasLabels(self.inputs)
            request = yield from self._prepare(folder, labels)
            segmented = yield from self._compute(request)
            if self._stopReason is not None:
                raise self._stopReason
            self.state, self.stage = "writing", "show"
            result = self._result(labels.structures, segmented, folder.file)
            self.report = result.report
            for _step in result.steps():
                yield
            self.nodes = result.addToScene()
        finally:
            folder.remove()

    def _result(self, structures, segmented, file):
        return Result(self.inputs, structures, segmented, file)

    def _prepare(self, folder, labels):
        """Copies the inputs into the folder; returns the request."""
        for _step in labels.steps():
            yield
        inputs = self.inputs
        atlas, target = (imageArray(node.GetImageData()) for node in (inputs.atlasVolume, inputs.target))
        files = [("atlas.npy", atlas), ("target.npy", target)]
        files += [(f"labels{number}.npy", layer) for number, layer in enumerate(labels.layers)]
        yield from self._write(folder, files)
        return protocol.Segment(
            id=self._id,
            folder=folder.path,
            atlas=protocol.Array("atlas.npy", to_rows(inputs.atlasVoxelToLps)),
            target=protocol.Array("target.npy", to_rows(inputs.targetVoxelToLps)),
            atlas_labels=[protocol.Array(name, to_rows(labels.voxelToLps)) for name, _array in files[2:]],
            **self.settings,
        )
