"""Slicer's light look."""

from PySide6 import QtGui

COLOURS = {
    "Window": "#f0f0f0",
    "WindowText": "#000000",
    "Base": "#ffffff",
    "AlternateBase": "#f7f7f7",
    "Text": "#000000",
    "Button": "#e6e6e6",
    "ButtonText": "#000000",
    "ToolTipBase": "#ffffdc",
    "ToolTipText": "#000000",
    "Highlight": "#3d7fbf",
    "HighlightedText": "#ffffff",
    "Mid": "#b8b8b8",
}


def apply(application):
    application.setStyle("Fusion")
    palette = QtGui.QPalette()
    for role, colour in COLOURS.items():
        palette.setColor(getattr(QtGui.QPalette, role), QtGui.QColor(colour))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QtGui.QPalette.Disabled, getattr(QtGui.QPalette, role), QtGui.QColor("#8c8c8c"))
    application.setPalette(palette)
    font = application.font()
    font.setPointSizeF(9)
    application.setFont(font)
