"""The worklist's table: a row for each target, with its state and a button for what can be done about it."""

import qt

from .entrytexts import actionTexts, qualityText, stateText
from .messages import _

TARGET, STATE, QUALITY, ACTION = range(4)


class WorklistTable:
    """``widget``: a QTableWidget; ``worklist``: a `Worklist`. ``onAction(entry)``: called on a click on a row's button,
    ``onChecked()`` when a row is checked or not any more."""

    def __init__(self, widget, worklist, onAction, onChecked):
        self._widget, self._worklist, self._onAction, self._onChecked = widget, worklist, onAction, onChecked
        self._shown = []  # the entries of the rows
        widget.setColumnCount(4)
        widget.setHorizontalHeaderLabels([_("Target"), _("State"), _("Quality"), ""])
        widget.horizontalHeader().setSectionResizeMode(TARGET, qt.QHeaderView.Stretch)
        for column in (STATE, QUALITY, ACTION):
            widget.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        widget.itemChanged.connect(self.onItemChanged)

    def onItemChanged(self, item):
        if item.column() == TARGET:
            self._shown[item.row()].isChecked = item.checkState() == qt.Qt.Checked
            self._onChecked()

    def selected(self):
        """The entries of the selected rows."""
        rows = {index.row() for index in self._widget.selectionModel().selectedRows()}
        return [self._shown[row] for row in rows]

    def fill(self):
        """Brings the rows in line with the entries, if they are others."""
        table, entries = self._widget, self._worklist.entries
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
            self.showEntry(entry)

    def showEntry(self, entry):
        """Brings the entry's row up to date."""
        if entry not in self._shown:
            return
        table, row = self._widget, self._shown.index(entry)
        wasBlocked = table.blockSignals(True)
        table.item(row, STATE).setText(stateText(entry))
        table.item(row, STATE).setToolTip(str(entry.error) if entry.error is not None else stateText(entry))
        table.item(row, QUALITY).setText(qualityText(entry))
        table.item(row, QUALITY).setToolTip(_("How many structures to look at: those whose confidence is below 70 %."))
        table.blockSignals(wasBlocked)
        self._showAction(entry, row)

    def showActions(self):
        """Brings the rows' buttons up to date: whether a run goes on changes them."""
        for row, entry in enumerate(self._shown):
            self._showAction(entry, row)

    def _showAction(self, entry, row):
        """The button of a row, which does what suits the row's state."""
        if entry.state == "new":
            self._widget.removeCellWidget(row, ACTION)
            return
        button = self._widget.cellWidget(row, ACTION)
        if button is None:
            button = qt.QToolButton()
            button.clicked.connect(lambda _checked=False: self._onAction(entry))
            self._widget.setCellWidget(row, ACTION, button)
        text, toolTip = actionTexts(entry, self._worklist.canRetry)
        button.setText(text)
        button.setToolTip(toolTip)
        button.setEnabled(entry.isActive or entry.state == "finished" or self._worklist.canRetry)
