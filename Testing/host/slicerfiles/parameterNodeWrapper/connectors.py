"""Keeps a widget and a parameter equal. As Slicer's, the class of a widget must match exactly."""

import enum

import ctk
import qt
import slicer

from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange, find, split
from .serializers import nodeClasses


class Connector:
    """``signal``: of the widget; ``read()`` and ``write(value)`` translate."""

    def __init__(self, signal, read, write):
        self._signal, self.read, self.write = signal, read, write
        self._callback = None

    def connect(self, callback):
        self._callback = callback
        self._signal.connect(self._onChanged)

    def disconnect(self):
        self._signal.disconnect(self._onChanged)

    def _onChanged(self, *_values):
        self._callback()


def connectorFor(widget, annotatedType):
    """Raises RuntimeError where a parameter of this type cannot be shown by the widget."""
    bareType, annotations = split(annotatedType)
    kind = type(widget)
    if bareType is bool and kind in (qt.QCheckBox, ctk.ctkCheckBox, qt.QPushButton):
        return _propertyConnector(widget, widget.toggled, "checked")
    if bareType is str and kind is qt.QLineEdit:
        return _propertyConnector(widget, widget.textChanged, "text")
    if kind in (qt.QComboBox, ctk.ctkComboBox):
        return _comboBoxConnector(widget, bareType, annotations)
    if bareType is int and kind is qt.QSpinBox or bareType in (int, float) and kind is qt.QDoubleSpinBox:
        return _spinBoxConnector(widget, bareType, annotations)
    if nodeClasses(bareType) and kind is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = [cls().GetClassName() for cls in nodeClasses(bareType)]
        return Connector(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype {annotatedType} to widget type {kind}")


def _propertyConnector(widget, signal, name, convert=lambda value: value):
    def write(value):
        if getattr(widget, name) != value:
            setattr(widget, name, value)

    return Connector(signal, lambda: convert(getattr(widget, name)), write)


def _comboBoxConnector(widget, bareType, annotations):
    """Fills the box with an enumeration's labels, or with the values of a Choice."""
    if isinstance(bareType, type) and issubclass(bareType, enum.Enum):
        values = list(bareType)
        labels = [value.label() if hasattr(value, "label") else value.name for value in values]
    elif find(annotations, Choice):
        values = find(annotations, Choice).choices
        labels = [str(value) for value in values]
    else:
        raise RuntimeError("A combo box needs an enumeration or a Choice annotation.")
    widget.clear()
    widget.addItems(labels)
    return Connector(
        widget.currentIndexChanged,
        lambda: values[widget.currentIndex],
        lambda value: widget.setCurrentIndex(values.index(value)),
    )


def _spinBoxConnector(widget, bareType, annotations):
    limits = find(annotations, WithinRange)
    lower, upper = limits or find(annotations, Minimum), limits or find(annotations, Maximum)
    if type(widget) is qt.QDoubleSpinBox:
        unlimited = float("inf")
        decimals = find(annotations, Decimals)
        widget.decimals = 0 if bareType is int else decimals.value if decimals else widget.decimals
    else:
        unlimited = 2**31 - 1
    widget.setRange(lower.minimum if lower else -unlimited, upper.maximum if upper else unlimited)
    step = find(annotations, SingleStep)
    if step:
        widget.singleStep = step.value
    return _propertyConnector(widget, widget.valueChanged, "value", bareType)
