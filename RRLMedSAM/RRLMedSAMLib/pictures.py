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
    """A QPixmap of the course of each number in ``history``, a list of dicts, from 0 to the largest of all.

    ``dark``: the text stands on a dark ground.
    """
    highest = max((value for values in history for value in values.values()), default=1.0)
    picture = qt.QPixmap(width, height)
    picture.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter()
    painter.begin(picture)
    names = sorted({name for values in history for name in values})
    for index, name in enumerate(names):
        values = [values[name] for values in history if name in values]
        painter.setPen(qt.QColor(COLOURS[index % len(COLOURS)]))
        _drawLine(painter, values, highest, LEFT, width - LEFT, LINE * len(names), height - BOTTOM)
        painter.drawLine(LEFT, LINE * index + LINE // 2, LEFT + LINE, LINE * index + LINE // 2)
        painter.setPen(qt.QColor("white" if dark else "black"))
        painter.drawText(2 * LEFT + LINE, LINE * index + 12, f"{name}  {values[-1]:.3f}")
    painter.end()
    return picture


def _drawLine(painter, values, highest, left, right, top, bottom):
    last, wide, high = max(len(values) - 1, 1), right - left, bottom - top
    # No more points than pixels.
    shown = range(len(values)) if last < wide else [round(n * last / wide) for n in range(wide + 1)]
    points = [
        (round(left + wide * n / last), round(bottom - high * max(values[n], 0) / max(highest, 1e-9))) for n in shown
    ]
    for (x1, y1), (x2, y2) in zip(points, points[1:]):
        painter.drawLine(x1, y1, x2, y2)
