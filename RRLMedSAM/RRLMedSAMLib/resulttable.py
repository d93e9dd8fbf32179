"""The structures of all targets of the worklist in one table node: volume, confidence and what to look at."""

import csv
import math

import slicer
import slicer.util
import vtk

from .messages import _
from .review import reasonsText

ATTRIBUTE = "RRLMedSAM.isTable"
TARGET, SOURCE = 0, 5  # columns; by number, because their names depend on the language


def tableNode():
    """The scene's table of results, or None."""
    nodes = slicer.util.getNodesByClass("vtkMRMLTableNode")
    count = len(_columns())
    return next((node for node in nodes if node.GetAttribute(ATTRIBUTE) and node.GetNumberOfColumns() == count), None)


def addToTable(target, source, rows):
    """Adds the structures of a target to the table, which is made where there is none.

    ``target``: its name; ``source``: its node's ID or its file's path, which tells targets of one name apart. Lines of
    an earlier run on it are replaced. ``rows``: (structure's name, its part of the report).
    """
    node = tableNode() or _newTable()
    table = node.GetTable()
    names, sources = table.GetColumn(TARGET), table.GetColumn(SOURCE)
    for row in reversed(range(table.GetNumberOfRows())):
        # The name as well: where a saved scene is added to another one, its nodes get other IDs.
        if (names.GetValue(row), sources.GetValue(row)) == (target, source):
            table.RemoveRow(row)
    for name, structure in rows:
        row = table.InsertNextBlankRow()
        confidence = structure["confidence"]
        values = (target, name, structure["volume_ml"], float("nan") if confidence is None else confidence)
        for column, value in enumerate((*values, reasonsText(structure), source)):
            table.SetValue(row, column, vtk.vtkVariant(value))
    node.Modified()
    return node


def saveTable(path):
    """Writes the table as CSV, UTF-8 with the mark by which Excel knows it. Raises OSError."""
    table = tableNode().GetTable()
    columns = range(table.GetNumberOfColumns())
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(_columns())
        for row in range(table.GetNumberOfRows()):
            writer.writerow([_text(table.GetValue(row, column)) for column in columns])


def _text(value):
    """A vtkVariant as a CSV's cell; what is not known is empty."""
    return "" if value.IsDouble() and math.isnan(value.ToDouble()) else value.ToString()


def _columns():
    return [_("Target"), _("Structure"), _("Volume (ml)"), _("Confidence (%)"), _("Look at"), _("Source")]


def _newTable():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", _("RRLMedSAM structures"))
    node.SetAttribute(ATTRIBUTE, "1")
    # Renamed after Slicer 5.10.
    (getattr(node, "SetUseColumnTitleAsColumnHeader", None) or node.SetUseColumnNameAsColumnHeader)(True)
    for number, name in enumerate(_columns()):
        column = vtk.vtkDoubleArray() if number in (2, 3) else vtk.vtkStringArray()
        column.SetName(name)
        node.AddColumn(column)
    return node
