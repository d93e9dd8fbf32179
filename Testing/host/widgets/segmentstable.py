"""qMRMLSegmentsTableView: lists the segments of a segmentation, read-only here."""

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from ..uiloader import standIn
from .mrmlwidget import qMRMLWidget

ID_ROLE = QtCore.Qt.UserRole
COLUMNS = ("", "", "Name")  # visible, colour, name


@standIn
class qMRMLSegmentsTableView(qMRMLWidget):
    selectionChanged = QtCore.Signal(QtCore.QItemSelection, QtCore.QItemSelection)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node, self._observed = None, []
        self._table = QtWidgets.QTableWidget(0, len(COLUMNS), self)
        self._table.setHorizontalHeaderLabels(COLUMNS)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
        self._table.verticalHeader().hide()
        self._table.horizontalHeader().setStretchLastSection(True)
        for column in (0, 1):
            self._table.setColumnWidth(column, 28)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.selectionModel().selectionChanged.connect(self.selectionChanged)
        self._table.itemChanged.connect(self._onItemChanged)
        # Not a method of the widget: that is gone by then.
        self.destroyed.connect(lambda _widget, observed=self._observed: _stop(observed))

    def tableWidget(self):
        return self._table

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        _stop(self._observed)
        self._node = node
        if node is not None:
            for event in (
                slicer.vtkSegmentation.SegmentAdded,
                slicer.vtkSegmentation.SegmentRemoved,
                slicer.vtkSegmentation.SegmentModified,
                slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,
            ):
                self._observed.append((node, node.AddObserver(event, lambda *_arguments: self._update())))
        self._update()

    def _update(self):
        selected = self.selectedSegmentIDs()
        self._table.blockSignals(True)
        segmentIDs = self._node.GetSegmentation().GetSegmentIDs() if self._node is not None else ()
        self._table.setRowCount(len(segmentIDs))
        for row, segmentID in enumerate(segmentIDs):
            self._updateRow(row, segmentID)
        self.setSelectedSegmentIDs(selected)
        self._table.blockSignals(False)

    def _updateRow(self, row, segmentID):
        segment = self._node.GetSegmentation().GetSegment(segmentID)
        display = self._node.GetDisplayNode()
        isVisible = display is None or display.GetSegmentVisibility(segmentID)
        visible, colour, name = (QtWidgets.QTableWidgetItem() for _ in COLUMNS)
        visible.setCheckState(QtCore.Qt.Checked if isVisible else QtCore.Qt.Unchecked)
        colour.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
        name.setText(segment.GetName())
        for column, item in enumerate((visible, colour, name)):
            item.setData(ID_ROLE, segmentID)
            self._table.setItem(row, column, item)

    def selectedSegmentIDs(self):
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return tuple(self.segmentIDForRow(row) for row in rows)

    def setSelectedSegmentIDs(self, segmentIDs):
        self._table.clearSelection()
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.MultiSelection)
        for row in range(self._table.rowCount):
            if self.segmentIDForRow(row) in segmentIDs:
                self._table.selectRow(row)
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.ExtendedSelection)

    def clearSelection(self):
        self._table.clearSelection()

    def segmentIDForRow(self, row):
        return self._table.item(row, 2).data(ID_ROLE)

    def _showColumn(column):
        return QtCore.Property(
            bool,
            lambda self: not self._table.isColumnHidden(column),
            lambda self, isShown: self._table.setColumnHidden(column, not isShown),
        )

    visibilityColumnVisible, colorColumnVisible = _showColumn(0), _showColumn(1)
    segmentCount = QtCore.Property(int, lambda self: self._table.rowCount)

    def _onItemChanged(self, item):
        if item.column() == 0 and self._node.GetDisplayNode() is not None:
            isVisible = item.checkState() == QtCore.Qt.Checked
            self._node.GetDisplayNode().SetSegmentVisibility(item.data(ID_ROLE), isVisible)


def _stop(observed):
    for node, tag in observed:
        node.RemoveObserver(tag)
    observed.clear()
