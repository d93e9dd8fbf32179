"""The buttons under the table of structures: overlays, correction, and what becomes of a corrected result."""

import slicer

from .editing import changeTime, copyEdits, editedSegments, openEditor, otherResults
from .messages import _
from .overlays import ATLAS, CONFIDENCE, DEFORMATION, Overlays
from .resultnodes import isExample, setExample, targetOf


class ReviewView:
    """``ui``: the panel's widgets; ``results``: its `ResultView`.

    ``useAsAtlas(volume, segmentation)``, ``refine(segmentation)``: called with a corrected case. ``onExample()``:
    called when a case becomes a labelled example, or is none any more. ``say(text)``: shows a text as status.
    """

    def __init__(self, ui, results, useAsAtlas, refine, onExample, say):
        self.ui, self.results = ui, results
        self._useAsAtlas, self._refine, self._onExample, self._say = useAsAtlas, refine, onExample, say
        self.overlays = Overlays()
        self._segmentation = None
        self._edits = []  # (earlier result, its corrected segments)
        self._looked = []  # at which results, and when they had been changed
        self._buttons = {
            CONFIDENCE: ui.confidenceOverlayButton,
            DEFORMATION: ui.deformationOverlayButton,
            ATLAS: ui.atlasOverlayButton,
        }
        for kind, button in self._buttons.items():
            button.clicked.connect(lambda _checked=False, kind=kind: self.onOverlay(kind))
        ui.backButton.clicked.connect(self.onBackButton)
        ui.editButton.clicked.connect(self.onEditButton)
        ui.copyEditsButton.clicked.connect(self.onCopyEditsButton)
        ui.refineButton.clicked.connect(self.onRefineButton)
        ui.useAsAtlasButton.clicked.connect(self.onUseAsAtlasButton)
        ui.exampleButton.clicked.connect(self.onExampleButton)

    def show(self, segmentation):
        """``segmentation``: a result's node, or None."""
        if segmentation is not self._segmentation:
            self.overlays.back()
            self._segmentation = segmentation
        isOne = segmentation is not None
        for kind, button in self._buttons.items():
            button.setEnabled(isOne and self.overlays.isPossible(kind, segmentation))
            button.setChecked(self.overlays.kind == kind)
        self.ui.backButton.setEnabled(self.overlays.kind is not None)
        for button in (self.ui.editButton, self.ui.useAsAtlasButton, self.ui.exampleButton):
            button.setEnabled(isOne and targetOf(segmentation) is not None)
        self.ui.exampleButton.setChecked(isOne and isExample(segmentation))
        self._lookForEdits()
        count = sum(len(segmentIds) for _node, segmentIds in self._edits)
        self.ui.copyEditsButton.setVisible(count > 0)
        self.ui.copyEditsButton.setText(_("Kee&p {count} corrected segments").format(count=count))

    def _lookForEdits(self):
        """Looks for corrections in other results, where these have changed: it takes a moment. A segment that was
        corrected in this one later than in the other is not among them."""
        shown = self._segmentation
        others = otherResults(shown) if shown is not None else []
        looked = [(node, changeTime(node)) for node in [shown, *others] if node is not None]
        if looked == self._looked:
            return
        self._looked, self._edits = looked, []
        own = editedSegments(shown) if any(changed < looked[0][1] for _node, changed in looked[1:]) else []
        for node, changed in looked[1:]:
            isOlder = changed < looked[0][1]
            segmentIds = [each for each in editedSegments(node) if not (isOlder and each in own)]
            if segmentIds:
                self._edits.append((node, segmentIds))

    def forget(self):
        """The scene is closed."""
        self.overlays.forget()
        self._segmentation, self._edits, self._looked = None, [], []

    def onOverlay(self, kind):
        """Shows an overlay; a second click takes it away."""
        if self.overlays.kind == kind:
            self.overlays.back()
        else:
            self.overlays.show(kind, self._segmentation)
        self.show(self._segmentation)

    def onBackButton(self, _checked=False):
        self.overlays.back()
        self.show(self._segmentation)

    def onEditButton(self, _checked=False):
        self.overlays.back()
        openEditor(self._segmentation, self.results.segmentId)

    def onCopyEditsButton(self, _checked=False):
        """Copies what was corrected in earlier results, the oldest first, so that the latest correction wins."""
        names = []
        for source, segmentIds in self._edits:
            if slicer.mrmlScene.IsNodePresent(source):
                copyEdits(source, segmentIds, self._segmentation)
                names += [source.GetSegmentation().GetSegment(each).GetName() for each in segmentIds]
        self._edits = []
        self.show(self._segmentation)
        self._say(_("Kept as corrected: {names}.").format(names=", ".join(dict.fromkeys(names))))

    def onRefineButton(self, _checked=False):
        self._refine(self._segmentation)

    def onUseAsAtlasButton(self, _checked=False):
        self._useAsAtlas(targetOf(self._segmentation), self._segmentation)

    def onExampleButton(self, _checked=False):
        """Adds the case to what a model is adapted with, or takes it away."""
        setExample(self._segmentation, not isExample(self._segmentation))
        if isExample(self._segmentation):
            self._say(_("The networks will learn from this case, too: see 'Adapt to this atlas'."))
        self._onExample()
