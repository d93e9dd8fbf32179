"""Stand-in for slicer.i18n: the host speaks English only."""

import slicer


def translate(context, text):
    return slicer.app.translate(context, text)


def tr(text):
    return translate("", text)
