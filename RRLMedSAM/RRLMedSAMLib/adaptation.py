"""Adapting a model to an atlas: from a click to a model package, or to a pause."""

import os

import numpy as np
from RRLMedSAMEngine import protocol
from RRLMedSAMEngine.geometry import to_rows

from . import messages
from .atlaslabels import AtlasLabels
from .correspondence import inAtlasValues
from .errors import RunError
from .exchange import ExchangeFolder, removeStaleFolders
from .messages import _
from .scene import LPS_FROM_RAS, ijkToRas
from .sceneinput import AtlasInputs, checkVolume, imageArray
from .task import Task


def isUnfinished(output):
    """Whether an adaptation to this package was paused, or interrupted."""
    return os.path.isdir(output + protocol.UNFINISHED)


class Adaptation(Task):
    """``losses``: what each look at the training found, a dict of numbers. ``picture``: the latest preview, (rows,
    columns, 3) uint8, or None. ``card``: of the package, a dict, when it is done.

    Stopped, it is a pause: what is done is kept beside ``output``, and the next one goes on with it.
    """

    patience = 60  # a step of a large training takes some seconds, and is then saved

    def __init__(self, inputs: AtlasInputs, scans, scanFolder, examples, output, settings, worker):
        """``scans``: volume nodes; ``scanFolder``: path, or "". ``examples``: (volume, segmentation) nodes.

        ``settings``: minutes, device, base, seed.
        """
        super().__init__(worker)
        for scan in scans:
            checkVolume(scan, _("unlabelled scan"))
        self.inputs, self.scans, self.scanFolder = inputs, scans, scanFolder
        self.examples = [AtlasInputs(*example) for example in examples]
        self.output, self.settings = output, settings
        self.losses, self.picture, self.card = [], None, None

    def _checkInputs(self):
        if self.state == "preparing" and self.inputs.missing() is not None:
            self.stop(messages.inputMissing(self.inputs.missing()))

    def _steps(self):
        removeStaleFolders()
        self._folder = ExchangeFolder()
        try:
            labels = AtlasLabels(self.inputs)
            request = yield from self._prepare(labels)
            adapted = yield from self._compute(request)
            self.card = adapted.card
        finally:
            self._folder.remove()

    def _prepare(self, labels):
        """Copies atlas and scans into the folder; returns the request."""
        for _step in labels.steps():
            yield
        if len(labels.layers) > 1:
            raise RunError(
                "bad_input",
                _("Segments of the atlas overlap; a model learns structures that do not."),
                _("Remove the overlap in the Segment Editor, or in a copy of the segmentation."),
            )
        atlas = imageArray(self.inputs.atlasVolume.GetImageData())
        files = [("atlas.npy", atlas), ("labels.npy", labels.layers[0])]
        files += [(f"scan{n}.npy", imageArray(scan.GetImageData())) for n, scan in enumerate(self.scans)]
        places = [to_rows(LPS_FROM_RAS @ ijkToRas(scan)) for scan in self.scans]
        yield from self._write(self._folder, files)
        examples = []
        for number, inputs in enumerate(self.examples):
            examples.append((yield from self._example(number, inputs, labels)))
        return protocol.Adapt(
            id=self._id,
            folder=self._folder.path,
            atlas=protocol.Array("atlas.npy", to_rows(self.inputs.atlasVoxelToLps)),
            atlas_labels=protocol.Array("labels.npy", to_rows(labels.voxelToLps)),
            names={str(n + 1): structure.segment.GetName() for n, structure in enumerate(labels.structures)},
            scans=[protocol.Array(name, place) for (name, _array), place in zip(files[2:], places)],
            scan_folder=self.scanFolder,
            examples=examples,
            output=self.output,
            resume=isUnfinished(self.output),
            **self.settings,
        )

    def _example(self, number, inputs, labels):
        """Copies a labelled volume into the folder; returns what the request says of it."""
        read = AtlasLabels(inputs)
        for _step in read.steps():
            yield
        (drawn,) = yield from inAtlasValues(read, labels)
        image = imageArray(inputs.atlasVolume.GetImageData())
        files = [(f"example{number}.npy", image), (f"example_labels{number}.npy", drawn)]
        yield from self._write(self._folder, files)
        places = (inputs.atlasVoxelToLps, read.voxelToLps)
        return protocol.Example(*(protocol.Array(name, to_rows(place)) for (name, _array), place in zip(files, places)))

    def _isAnswer(self, event):
        if isinstance(event, protocol.Losses):
            self.losses.append(event.values)
        elif isinstance(event, protocol.Preview):
            self.picture = np.load(self._folder.file(os.path.basename(event.file)), allow_pickle=False)
        return super()._isAnswer(event)
