"""The questions for files and folders, and those that have more answers than yes and no.

Each opens a window, on a click on a button that says so. While the application is tested nothing opens, and the answer
is None: nobody is there to click.
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


def chosenAnswer(widget, question, answers):
    """The one of the ``answers``, texts, that the user clicks; None for *Cancel*."""
    box = qt.QMessageBox(widget.window())
    box.setIcon(qt.QMessageBox.Question)
    box.setText(question)
    buttons = [box.addButton(answer, qt.QMessageBox.AcceptRole) for answer in answers]
    box.setDefaultButton(box.addButton(qt.QMessageBox.Cancel))
    if not slicer.app.testingEnabled():
        box.exec_()
    clicked = box.clickedButton()
    box.deleteLater()
    return next((answer for answer, button in zip(answers, buttons) if button == clicked), None)
