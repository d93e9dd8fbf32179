"""The questions for files and folders. Each opens a window: they are asked on a click on a button that says so.

While the application is tested nothing opens, and the answer is None: nobody is there to click.
"""

import qt
import slicer

# Not Qt's static functions, which return a text in Slicer and a tuple in other Qt for Python.


def chosenFile(widget, title, kind, ending):
    """The absolute path of an existing file that the user picks, or None. ``widget``: the one that asks."""
    dialog = qt.QFileDialog(widget.window(), title, "", f"{kind} (*{ending})")
    dialog.setFileMode(qt.QFileDialog.ExistingFile)
    return _chosen(dialog)


def chosenNewFile(widget, title, kind, ending):
    """The absolute path of a file to be written, or None; Qt asks before an existing one is replaced."""
    dialog = qt.QFileDialog(widget.window(), title, "", f"{kind} (*{ending})")
    dialog.setAcceptMode(qt.QFileDialog.AcceptSave)
    dialog.setDefaultSuffix(ending[1:])
    return _chosen(dialog)


def chosenFolder(widget, title):
    """The absolute path of a folder, or None."""
    dialog = qt.QFileDialog(widget.window(), title)
    dialog.setFileMode(qt.QFileDialog.Directory)
    return _chosen(dialog)


def _chosen(dialog):
    isAccepted = not slicer.app.testingEnabled() and dialog.exec_()
    files = dialog.selectedFiles()
    dialog.deleteLater()
    return files[0] if isAccepted else None
