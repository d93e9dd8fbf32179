"""Small pictures for the panel: a training's curve, and images that the worker made."""

import os
import tempfile

import qt
import vtk
from vtk.util.numpy_support import numpy_to_vtk

# Told apart by every kind of colour vision (Okabe and Ito's palette), on light and on dark panels
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00")
LINE, LEFT, BOTTOM = 16, 8, 6  # pixels: height of a line of text, and margins


def pixmap(image):
    """A QPixmap of (rows, columns, 3) uint8, the first row on top."""
    rows, columns = image.shape[:2]
    data = vtk.vtkImageData()
    data.SetDimensions(columns, rows, 1)
    data.GetPointData().SetScalars(numpy_to_vtk(image[::-1].reshape(-1, 3).copy(), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetInputData(data)
    # Through a file: what Qt's classes take as bytes differs between Slicer's Python and others.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "picture.png")
        writer.SetFileName(path)
        writer.Write()
        return qt.QPixmap(path)


def curve(history, width, height, dark):
    """A QPixmap of the course of each number in ``history``, a list of dicts: each on a scale from 0 to its largest.

    ``dark``: the text stands on a dark ground.
    """
    picture = qt.QPixmap(width, height)
    picture.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter()
    painter.begin(picture)
    names = sorted({name for values in history for name in values})
    for index, name in enumerate(names):
        values = [values[name] for values in history if name in values]
        painter.setPen(qt.QColor(COLOURS[index % len(COLOURS)]))
        _drawLine(painter, values, LEFT, width - LEFT, LINE * len(names), height - BOTTOM)
        painter.drawLine(LEFT, LINE * index + LINE // 2, LEFT + LINE, LINE * index + LINE // 2)
        painter.setPen(qt.QColor("white" if dark else "black"))
        painter.drawText(2 * LEFT + LINE, LINE * index + 12, f"{name}  {values[-1]:.3f}")
    painter.end()
    return picture


def _drawLine(painter, values, left, right, top, bottom):
    count, highest = len(values), max(max(values), 1e-9)
    shown = [round(n * (count - 1) / (right - left)) for n in range(right - left + 1)] if count > right - left else range(count)
    points = [
        (round(left + (right - left) * n / max(count - 1, 1)), round(bottom - (bottom - top) * max(values[n], 0) / highest))
        for n in shown
    ]
    for (x1, y1), (x2, y2) in zip(points, points[1:]):
        painter.drawLine(x1, y1, x2, y2)
