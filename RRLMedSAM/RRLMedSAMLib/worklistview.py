"""The panel's section 'Many targets': which targets, how far each is, and what can be done about it."""

import os

import qt
import slicer
from RRLMedSAMEngine.targets import find_targets

from .dialogs import chosenFolder, chosenNewFile
from .entrytexts import actionTexts, endText, namedStructures, qualityText, stateText
from .errors import RunError
from .loading import loadResult
from .messages import _
from .resulttable import addToTable, saveTable, tableNode
from .sceneinput import images
from .worklist import Worklist

TARGET, STATE, QUALITY, ACTION = range(4)


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
        self.worklist = Worklist(logic, self._showEntry, self._onFinished, self._onEnded)
        self._parameterNode = None
        self._shown = []  # the entries of the table's rows
        table = ui.worklistTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Target"), _("State"), _("Quality"), ""])
        table.horizontalHeader().setSectionResizeMode(TARGET, qt.QHeaderView.Stretch)
        for column in (STATE, QUALITY, ACTION):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.itemChanged.connect(self.onItemChanged)
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
        self._fill()

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
        rows = {index.row() for index in self.ui.worklistTable.selectionModel().selectedRows()}
        for entry in [self._shown[row] for row in rows]:
            if entry.path is not None:
                self.worklist.remove(entry)
        self.update()

    def onOutputButton(self, _checked=False):
        folder = chosenFolder(self.ui.worklistOutputButton, _("Choose the folder of the results"))
        if folder is not None:
            self._parameterNode.worklistOutput = folder

    def onItemChanged(self, item):
        if item.column() == TARGET:
            self._shown[item.row()].isChecked = item.checkState() == qt.Qt.Checked
            self.update()

    def onStartButton(self, _checked=False):
        self.start([entry for entry in self.worklist.entries if entry.isChecked])

    def start(self, entries):
        chosen = self._parameterNode
        try:
            self.worklist.start(
                entries,
                *self._atlas(),
                outputFolder=chosen.worklistOutput,
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
        self._fill()
        for row, entry in enumerate(self._shown):
            self._showAction(entry, row)
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

    def _fill(self):
        """The rows in line with the entries, if they are others."""
        table, entries = self.ui.worklistTable, self.worklist.entries
        if entries == self._shown and all(
            table.item(row, TARGET).text() == entry.name for row, entry in enumerate(entries)
        ):
            return
        self._shown = list(entries)
        wasBlocked = table.blockSignals(True)
        table.setRowCount(0)
        table.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            for column in (TARGET, STATE, QUALITY):
                table.setItem(row, column, qt.QTableWidgetItem(""))
            name = table.item(row, TARGET)
            name.setText(entry.name)
            name.setToolTip(entry.name if entry.path is None else entry.path)
            name.setCheckState(qt.Qt.Checked if entry.isChecked else qt.Qt.Unchecked)
        table.blockSignals(wasBlocked)
        for entry in entries:
            self._showEntry(entry)

    def _showEntry(self, entry):
        """Brings the entry's row up to date; called with each of its changes."""
        if entry not in self._shown:
            return
        table, row = self.ui.worklistTable, self._shown.index(entry)
        wasBlocked = table.blockSignals(True)
        table.item(row, STATE).setText(stateText(entry))
        table.item(row, STATE).setToolTip(str(entry.error) if entry.error is not None else stateText(entry))
        table.item(row, QUALITY).setText(qualityText(entry))
        table.item(row, QUALITY).setToolTip(_("How many structures to look at: those whose confidence is below 70 %."))
        table.blockSignals(wasBlocked)
        self._showAction(entry, row)

    def _showAction(self, entry, row):
        """The button of a row, which does what suits the row's state."""
        table = self.ui.worklistTable
        if entry.state == "new":
            table.removeCellWidget(row, ACTION)
            return
        button = table.cellWidget(row, ACTION)
        if button is None:
            button = qt.QToolButton()
            button.clicked.connect(lambda _checked=False: self.onAction(entry))
            table.setCellWidget(row, ACTION, button)
        text, toolTip = actionTexts(entry, self.worklist.canRetry)
        button.setText(text)
        button.setToolTip(toolTip)
        button.setEnabled(entry.isActive or entry.state == "finished" or self.worklist.canRetry)

    def _onFinished(self, entry):
        if entry.segmentation is not None:  # until it is shown: all targets' results would be drawn over each other
            entry.segmentation.SetDisplayVisibility(False)
        addToTable(entry.name, entry.source, namedStructures(entry))

    def _onEnded(self):
        withoutTorch = [entry for entry in self.worklist.entries if entry.error and entry.error.code == "no_torch"]
        self._say(endText(self.worklist.entries))
        self._onChanged()
        if withoutTorch and self._parameterNode is not None:
            self._install(lambda: self.start(withoutTorch))

    def _say(self, text):
        self.ui.worklistStatusLabel.setText(text)
