"""The panel's section 'Many targets': which targets, how far each is, and what can be done about it."""

import os

import slicer
from RRLMedSAMEngine.targets import find_targets, has_result

from .dialogs import chosenAnswer, chosenFolder, chosenNewFile
from .entrytexts import doneAnswers, doneQuestion, endText, namedStructures
from .errors import RunError
from .loading import loadResult
from .messages import _
from .resulttable import addToTable, saveTable, tableNode
from .sceneinput import images
from .worklist import Worklist
from .worklisttable import WorklistTable


class WorklistView:
    """``ui``: the panel's widgets; ``logic``: an `OneShotLogic`.

    ``atlas()``: the chosen atlas volume and segmentation. ``engagement()``: why nothing can be begun on the worker now,
    or None. ``onShow(segmentation)``: called when a result shall be shown. ``onChanged()``: when segmenting starts or
    ends. ``install(then)``: asks to install what is missing, and calls ``then()`` when it is there.
    """

    def __init__(self, ui, logic, atlas, engagement, onShow, onChanged, install):
        self.ui, self.logic = ui, logic
        self._atlas, self._engagement, self._onShow = atlas, engagement, onShow
        self._onChanged, self._install = onChanged, install
        self.worklist = Worklist(logic, self._onEntryChanged, self._onFinished, self._onEnded)
        self._parameterNode = None
        self._table = WorklistTable(ui.worklistTable, self.worklist, self.onAction, self.update)
        ui.worklistFolderButton.clicked.connect(self.onFolderButton)
        ui.worklistRemoveButton.clicked.connect(self.onRemoveButton)
        ui.worklistOutputButton.clicked.connect(self.onOutputButton)
        ui.worklistButton.clicked.connect(self.onStartButton)
        ui.worklistCancelButton.clicked.connect(self.onCancelButton)
        ui.worklistTableButton.clicked.connect(self.onTableButton)
        ui.worklistCollapsibleButton.collapsed = True

    @property
    def isBusy(self):
        return self.worklist.isActive

    def setParameterNode(self, parameterNode):
        self._parameterNode = parameterNode

    def forget(self):
        """The scene is closed: what runs is ended, and the list begins anew."""
        self.worklist.clear()
        self._table.fill()

    # ------------------------------------------------------------ buttons

    def onFolderButton(self, _checked=False):
        folder = chosenFolder(self.ui.worklistFolderButton, _("Choose a folder of targets"))
        if folder is not None:
            self.addFolder(folder)

    def addFolder(self, folder):
        """Adds the images of a folder to the list."""
        try:
            with slicer.util.WaitCursor():  # a thousand slices take a second
                paths = find_targets(folder)
        except OSError as error:
            self._say(_("The folder cannot be read ({reason}). Choose another one.").format(reason=error.strerror))
            return
        self.worklist.addFiles([os.path.abspath(path) for path in paths])
        self._say(_("{count} images found.").format(count=len(paths)))
        self.update()

    def onRemoveButton(self, _checked=False):
        for entry in self._table.selected():
            if entry.path is not None:
                self.worklist.remove(entry)
        self.update()

    def onOutputButton(self, _checked=False):
        folder = chosenFolder(self.ui.worklistOutputButton, _("Choose the folder of the results"))
        if folder is not None:
            self._parameterNode.worklistOutput = folder

    def onStartButton(self, _checked=False):
        entries = [entry for entry in self.worklist.entries if entry.isChecked]
        output = self._parameterNode.worklistOutput
        done = [entry for entry in entries if entry.path and has_result(os.path.join(output, entry.name))]
        if not done:
            self.start(entries)
            return
        skip, replace = doneAnswers()
        answer = chosenAnswer(self.ui.worklistButton, doneQuestion(done, len(entries)), [skip, replace])
        if answer == replace:
            self.start(entries, overwrite=True)
        elif answer == skip and len(done) < len(entries):
            self.start([entry for entry in entries if entry not in done])
        elif answer == skip:
            self._say(_("Nothing is left to be segmented."))

    def start(self, entries, overwrite=False):
        """Segments the entries; ``overwrite``: whether results in the output folder are replaced."""
        chosen = self._parameterNode
        try:
            self.worklist.start(
                entries,
                *self._atlas(),
                outputFolder=chosen.worklistOutput,
                overwrite=overwrite,
                effort=chosen.effort.value,
                device=chosen.device.value,
                model=chosen.model,
            )
        except RunError as error:
            self._say(str(error))
        self._onChanged()

    def onCancelButton(self, _checked=False):
        self.worklist.cancelAll()
        self._onChanged()

    def onTableButton(self, _checked=False):
        path = chosenNewFile(self.ui.worklistTableButton, _("Save the volumes"), _("Tables"), ".csv")
        if path is not None:
            try:
                saveTable(path)
                self._say(_("Saved."))
            except OSError as error:
                self._say(_("The file cannot be written ({reason}). Choose another one.").format(reason=error.strerror))

    def onAction(self, entry):
        """The button of a row: what it does depends on the row's state."""
        if entry.isActive:
            self.worklist.cancel(entry)
        elif entry.state == "finished":
            self._show(entry)
        else:
            self.worklist.retry(entry)
        self._onChanged()

    def _show(self, entry):
        if entry.segmentation is None or not slicer.mrmlScene.IsNodePresent(entry.segmentation):
            if entry.path is None:
                self._say(_("The result is no longer in the scene. Segment the target again."))
                return
            try:  # once: a second copy would be without what was corrected in the first
                entry.segmentation = loadResult(entry.output, entry.path)
            except RunError as error:
                self._say(str(error))
                return
        self._onShow(entry.segmentation)

    # ------------------------------------------------------------ what is shown

    def update(self):
        """Brings the section in line with the scene, the choices and the runs."""
        if self._parameterNode is None:
            return
        self.worklist.setVolumes([node for node in images() if node is not self._atlas()[0]])
        self._table.fill()
        self._table.showActions()
        hasFiles = any(entry.path for entry in self.worklist.entries)
        obstacle = self._obstacle()
        self.ui.worklistButton.setEnabled(obstacle is None)
        self.ui.worklistButton.setToolTip(obstacle or _("Segments the checked targets, one after the other."))
        self.ui.worklistCancelButton.setEnabled(self.isBusy)
        self.ui.worklistRemoveButton.setEnabled(hasFiles)
        for widget in (self.ui.worklistOutputLabel, self.ui.worklistOutputEdit, self.ui.worklistOutputButton):
            widget.setEnabled(hasFiles and not self.isBusy)
        self.ui.worklistTableButton.setEnabled(tableNode() is not None)

    def _obstacle(self):
        """Why the checked targets cannot be segmented, or None."""
        if engagement := self._engagement():
            return engagement
        if None in self._atlas():
            return _("Choose an atlas volume and an atlas segmentation above.")
        checked = [entry for entry in self.worklist.entries if entry.isChecked]
        if not checked:
            return _("Check at least one target.")
        if any(entry.path for entry in checked) and not os.path.isdir(self._parameterNode.worklistOutput):
            return _("Choose an existing output folder for the results of the files.")
        return None

    def _onEntryChanged(self, entry):
        self._table.showEntry(entry)

    def _onFinished(self, entry):
        if entry.segmentation is not None:  # until it is shown: all targets' results would be drawn over each other
            entry.segmentation.SetDisplayVisibility(False)
        addToTable(entry.name, entry.source, namedStructures(entry))

    def _onEnded(self):
        withoutTorch = [entry for entry in self.worklist.entries if entry.error and entry.error.code == "no_torch"]
        self._say(endText(self.worklist.entries))
        self._onChanged()
        if withoutTorch and self._parameterNode is not None:
            self._install(lambda: self._retry(withoutTorch))

    def _retry(self, entries):
        for entry in entries:
            self.worklist.retry(entry)
        self._onChanged()

    def _say(self, text):
        self.ui.worklistStatusLabel.setText(text)
