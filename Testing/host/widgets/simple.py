"""CTK's widgets that differ from Qt's in looks only, as far as the host is concerned."""

from PySide6 import QtWidgets

from ..uiloader import standIn


@standIn
class ctkCheckBox(QtWidgets.QCheckBox):
    pass


@standIn
class ctkPushButton(QtWidgets.QPushButton):
    pass


@standIn
class ctkMessageBox(QtWidgets.QMessageBox):
    """slicer.util's message boxes are of this class."""
