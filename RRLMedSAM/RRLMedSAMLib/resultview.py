"""The results section of the panel: what a run found, and the table of its structures."""

import qt
import slicer

from . import models
from .editing import selectInEditor
from .enginetexts import translated
from .messages import _, timeText
from .resultnodes import companions, readReport, results, sourcesOf, targetOf
from .review import isDoubtful, jumpTo, placeToCheck, rankedStructures, reasonsText
from .scene import showInSlices
from .sceneinput import IS_RESULT

SWATCH = 12  # pixels
DOUBTFUL = "\u26a0"  # told without a colour


class ResultView:
    """Shows the report kept in a segmentation node. ``ui``: the panel's widgets."""

    def __init__(self, ui):
        self.ui = ui
        self.segmentation = None
        self._rows = []  # of the report, as the table shows them
        self._expected = None  # the result that the selector is going to have, not by the user's choice
        table = ui.structuresTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Structure"), _("Confidence"), _("Volume")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.currentCellChanged.connect(self.onCurrentCellChanged)
        table.cellClicked.connect(self.onStructureClicked)
        ui.nextPlaceButton.clicked.connect(self.onNextPlaceButton)
        ui.resultSelector.addAttribute("vtkMRMLSegmentationNode", IS_RESULT, "1")
        ui.resultSelector.connect("nodeActivated(vtkMRMLNode*)", self.onResultChosen)

    @property
    def segmentId(self):
        """The segment of the table's selected row, or None."""
        row = self.ui.structuresTable.currentRow()
        return self._rows[row]["segment"] if 0 <= row < len(self._rows) else None

    def show(self, segmentation):
        """``segmentation``: a result's node, or None."""
        report = readReport(segmentation)
        selected = self.segmentId if segmentation is self.segmentation else None
        self.segmentation = segmentation if report else None
        self.ui.resultsCollapsibleButton.setVisible(bool(results()))
        self.ui.nextPlaceButton.setEnabled(report is not None)
        self._rows = rankedStructures(segmentation, report) if report else []
        self._fillTable(selected)
        self._explain()
        self._showNodes([segmentation, *companions(segmentation)] if report else [])
        self.ui.resultLabel.setText(figuresText(report) if report else "")
        warnings = [_("Warning: {text}").format(text=translated(text)) for text in report["warnings"]] if report else []
        self.ui.warningsLabel.setText("\n".join(warnings))
        self.ui.warningsLabel.setVisible(bool(warnings))

    def _fillTable(self, selected):
        """``selected``: ID of the segment whose row is the current one, or None. The slices stay where they are."""
        table = self.ui.structuresTable
        wasBlocked = table.blockSignals(True)
        table.setRowCount(0)
        table.setRowCount(len(self._rows))
        for row, structure in enumerate(self._rows):
            self._showStructure(row, structure)
            if structure["segment"] == selected:
                table.setCurrentCell(row, 0)
        table.blockSignals(wasBlocked)

    def _showStructure(self, row, structure):
        segment = self.segmentation.GetSegmentation().GetSegment(structure["segment"])
        pixmap = qt.QPixmap(SWATCH, SWATCH)
        pixmap.fill(qt.QColor(*(round(255 * part) for part in segment.GetColor())))
        texts = [segment.GetName(), confidenceText(structure), volumeText(structure)]
        toolTip = _("{name}: click to move the slices there").format(name=segment.GetName())
        if structure["volume_ml"] is None:
            toolTip = _("{name}: the atlas has no voxels of it").format(name=segment.GetName())
        elif reasonsText(structure):
            toolTip = f"{toolTip}\n{reasonsText(structure)}"
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(toolTip)
            if column == 0:
                item.setIcon(qt.QIcon(pixmap))
            self.ui.structuresTable.setItem(row, column, item)

    def _showNodes(self, nodes):
        names = self.ui.nodesList
        names.clear()
        for row, node in enumerate(nodes):
            names.addItem(node.GetName())
            names.item(row).setToolTip(_("Added to the scene: {name}").format(name=node.GetName()))

    def forget(self):
        """The scene is closed."""
        self.expect(None)
        self.show(None)

    def expect(self, segmentation):
        """The selector is about to be set to a result: it tells of that as of the user's choice."""
        self._expected = segmentation

    def onResultChosen(self, segmentation):
        """The user has chosen another result, maybe of another target."""
        isChoice = segmentation is not self._expected and not slicer.mrmlScene.IsBatchProcessing()
        self._expected = segmentation
        if segmentation is not None and isChoice:
            self.showInViews(segmentation)

    def showInViews(self, segmentation):
        """Shows a result on its target, and no other one: all have the same colours, as the atlas's segments have."""
        others = [*results(), sourcesOf(segmentation).get("atlasSegmentation")]
        for other in others:
            if other is not None and other is not segmentation:
                other.SetDisplayVisibility(False)
        segmentation.SetDisplayVisibility(True)
        showInSlices(targetOf(segmentation))

    def onCurrentCellChanged(self, row, _column, previousRow, _previousColumn):
        """By the arrow keys, too."""
        if row >= 0 and row != previousRow:
            self.onStructureClicked(row)

    def onStructureClicked(self, row, _column=0):
        """Moves the slices to the least sure place of the structure, and selects it for the Segment Editor."""
        self._explain()
        selectInEditor(self.segmentation, self._rows[row]["segment"])
        place = placeToCheck(self.segmentation, self._rows[row])
        if place is not None:
            jumpTo(place)

    def onNextPlaceButton(self, _checked=False):
        """Selects the next row, the first one after the last, and goes there."""
        row = (self.ui.structuresTable.currentRow() + 1) % len(self._rows)
        self.ui.structuresTable.setCurrentCell(row, 0)
        self.onStructureClicked(row)

    def _explain(self):
        """Says of the selected structure why it is to be looked at; of none, how many are."""
        row = self.ui.structuresTable.currentRow()
        doubtful = [structure for structure in self._rows if isDoubtful(structure)]
        if not self._rows:
            text = _("Choose a result above.")
        elif not 0 <= row < len(self._rows):
            text = _("To look at first: {count} of {all} structures.").format(count=len(doubtful), all=len(self._rows))
        else:
            name = self.ui.structuresTable.item(row, 0).text()
            reasons = reasonsText(self._rows[row])
            if reasons:
                text = f"{name}: {reasons}."
            elif self._rows[row] in doubtful:
                text = _("{name}: little is sure of so small or thin a structure.").format(name=name)
            else:
                text = _("{name}: nothing speaks against it.").format(name=name)
        self.ui.reasonLabel.setText(text)


def confidenceText(structure):
    if structure["confidence"] is None:
        return _("empty") if structure["volume_ml"] is None else f"{DOUBTFUL} " + _("not found")
    return f"{DOUBTFUL if isDoubtful(structure) else ''} {structure['confidence']:.0f} %".strip()


def volumeText(structure):
    return "" if structure["volume_ml"] is None else f"{structure['volume_ml']:.2f} ml"


def figuresText(report):
    """Time, model and quality, one a line; short lines, which need no wrapping in a narrow panel."""
    model = report.get("model", models.INSTANT)  # results made before there were models have none
    lines = [
        _("{time} on {device}").format(time=timeText(sum(report["seconds"].values())), device=report["device"]),
        _("Model: {name}").format(name=models.label(model) if model == models.INSTANT else model),
        _("Folded voxels: {percent:.2f} %").format(percent=report["folding_percent"]),
        _("Inverse consistency: {mean:.2f} mm").format(mean=report["inverse_consistency_mm"]["mean"]),
    ]
    return "\n".join(lines)
