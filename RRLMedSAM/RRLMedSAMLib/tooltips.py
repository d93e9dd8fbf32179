"""Help on the panel's labels."""

import qt


def explainLabels(ui):
    """Gives each label the tooltip of the widget that it names, so that the text is kept once.

    ``ui``: the panel's widgets by name.
    """
    for widget in vars(ui).values():
        if isinstance(widget, qt.QLabel) and widget.buddy() is not None:
            widget.setToolTip(widget.buddy().toolTip)
