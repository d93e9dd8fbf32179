"""ctkCollapsibleButton: a section of a panel under a header that folds it away."""

from PySide6 import QtCore, QtGui, QtWidgets

from ..uiloader import standIn

NO_LIMIT = 16777215  # Qt's QWIDGETSIZE_MAX


@standIn
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """Checked when open."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, text="", parent=None):
        isParentOnly = text is None or isinstance(text, QtWidgets.QWidget)
        super().__init__(text if isParentOnly else parent)
        self._shown = []
        self.setText("" if isParentOnly else text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(1, self._headerHeight(), 1, 1)
        self.toggled.connect(self._onToggled)

    def setCollapsed(self, collapsed):
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), setCollapsed)

    def _onToggled(self, isOpen):
        widgets = self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly)
        if isOpen:
            for widget in self._shown:
                widget.setVisible(True)
        else:
            self._shown = [widget for widget in widgets if not widget.isHidden()]
            for widget in self._shown:
                widget.setVisible(False)
        self.setMaximumHeight(NO_LIMIT if isOpen else self._headerHeight())
        self.contentsCollapsed.emit(not isOpen)

    def childEvent(self, event):
        """A child that comes while the section is closed, as from a .ui file, is shown when it opens.

        Not so one that was hidden while it was open: Qt sends this event late.
        """
        super().childEvent(event)
        if event.polished() and self.collapsed and event.child().isWidgetType():
            child = event.child()
            if child not in self._shown and not child.testAttribute(QtCore.Qt.WA_WState_ExplicitShowHide):
                self._shown.append(child)
            child.setVisible(False)

    def _headerHeight(self):
        return self.fontMetrics().height() + 8

    def hitButton(self, position):
        return position.y() < self._headerHeight()

    def sizeHint(self):
        content = QtCore.QSize() if self.collapsed or self.layout() is None else self.layout().totalSizeHint()
        header = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text) + 40, self._headerHeight())
        return content.expandedTo(header)

    def minimumSizeHint(self):
        if self.collapsed or self.layout() is None:
            return QtCore.QSize(0, self._headerHeight())
        return self.layout().totalMinimumSize()

    def paintEvent(self, _event):
        painter = QtWidgets.QStylePainter(self)
        header = QtCore.QRect(0, 0, self.width, self._headerHeight())
        if not self.collapsed:
            painter.setPen(self.palette.mid().color())
            painter.drawRect(QtCore.QRect(0, 0, self.width - 1, self.height - 1))
        button = QtWidgets.QStyleOptionButton()
        button.initFrom(self)
        button.rect = header
        button.state |= QtWidgets.QStyle.State_Raised
        painter.drawPrimitive(QtWidgets.QStyle.PE_PanelButtonBevel, button)
        arrow = QtWidgets.QStyleOption(button)
        arrow.rect = QtCore.QRect(6, (header.height() - 12) // 2, 12, 12)
        style = QtWidgets.QStyle
        painter.drawPrimitive(style.PE_IndicatorArrowRight if self.collapsed else style.PE_IndicatorArrowDown, arrow)
        painter.setPen(self.palette.color(QtGui.QPalette.ButtonText))
        flags = QtCore.Qt.AlignVCenter | QtCore.Qt.TextShowMnemonic
        painter.drawText(header.adjusted(24, 0, -4, 0), flags, self.text)
