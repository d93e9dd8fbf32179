"""ctkComboBox: a combo box with a text for "nothing selected"."""

from PySide6 import QtCore, QtWidgets

from ..uiloader import standIn


@standIn
class ctkComboBox(QtWidgets.QComboBox):
    def setDefaultText(self, text):
        self._defaultText = text
        self.update()

    _defaultText = ""
    defaultText = QtCore.Property(str, lambda self: self._defaultText, setDefaultText)

    def paintEvent(self, event):
        """Not by Qt's placeholderText: with that, a combo box no longer selects the first item that it gets."""
        if self.currentIndex >= 0:
            super().paintEvent(event)
            return
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self._defaultText
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)
