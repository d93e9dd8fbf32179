"""The results section of the panel: what a run found, and where to look first."""

import qt
import slicer

from . import models
from .messages import _, timeText
from .sceneoutput import companions, readReport

SWATCH = 12  # pixels


class ResultView:
    """Shows the report kept in a segmentation node. ``ui``: the panel's widgets."""

    def __init__(self, ui):
        self.ui = ui
        self._segmentation = None
        self._segmentIds = []
        table = ui.structuresTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Structure"), _("Confidence"), _("Volume")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.cellClicked.connect(self.onStructureClicked)

    def show(self, segmentation):
        """``segmentation``: a result's node, or None."""
        report = readReport(segmentation)
        self._segmentation = segmentation if report else None
        self.ui.resultsCollapsibleButton.setVisible(report is not None)
        self._segmentIds = []
        self.ui.structuresTable.setRowCount(0)
        if report is None:
            return
        rows = rankedStructures(segmentation, report)
        self.ui.structuresTable.setRowCount(len(rows))
        for row, structure in enumerate(rows):
            self._showStructure(row, structure)
        self._showNodes([segmentation, *companions(segmentation)])
        self.ui.resultLabel.setText(figuresText(report))
        self.ui.warningsLabel.setText("\n".join(_("Warning: {text}").format(text=text) for text in report["warnings"]))
        self.ui.warningsLabel.setVisible(bool(report["warnings"]))

    def _showStructure(self, row, structure):
        segment = self._segmentation.GetSegmentation().GetSegment(structure["segment"])
        self._segmentIds.append(structure["segment"])
        pixmap = qt.QPixmap(SWATCH, SWATCH)
        pixmap.fill(qt.QColor(*(round(255 * part) for part in segment.GetColor())))
        texts = [segment.GetName(), confidenceText(structure), volumeText(structure)]
        toolTip = _("{name}: click to move the slices there").format(name=segment.GetName())
        if structure["volume_ml"] is None:
            toolTip = _("{name}: the atlas has no voxels of it").format(name=segment.GetName())
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

    def onStructureClicked(self, row, _column=0):
        """Moves the slices to the structure's centre."""
        centre = self._segmentation.GetSegmentCenterRAS(self._segmentIds[row])
        if centre is not None:
            mode = slicer.vtkMRMLSliceNode.CenteredJumpSlice
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *centre, mode)


def rankedStructures(segmentation, report):
    """The report's structures that still are in the segmentation, the least sure first.

    Those that the run did not find at all come first, those without a voxel in the atlas last.
    """
    present = [row for row in report["structures"] if segmentation.GetSegmentation().GetSegment(row["segment"])]
    present.sort(key=lambda row: -1 if row["confidence"] is None else row["confidence"])
    reported = {row["segment"] for row in present}
    empty = [
        {"segment": segmentId, "confidence": None, "volume_ml": None}
        for segmentId in segmentation.GetSegmentation().GetSegmentIDs()
        if segmentId not in reported
    ]
    return present + empty


def confidenceText(structure):
    if structure["confidence"] is not None:
        return f"{structure['confidence']:.0f} %"
    return _("empty") if structure["volume_ml"] is None else _("not found")


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
