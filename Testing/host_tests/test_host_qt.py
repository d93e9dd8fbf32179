"""PySide6 behaves as PythonQt where module code can tell the difference."""

import ctk
import pytest
import qt


def testPropertiesAreAttributes():
    button = qt.QPushButton("text")
    assert button.text == "text" and button.enabled is True
    button.enabled, button.toolTip, button.name = False, "tip", "applyButton"
    assert not button.isEnabled() and button.toolTip == "tip" and button.objectName == "applyButton"
    with pytest.raises(TypeError):
        button.text()


def testReadOnlyPropertyCannotBeWritten():
    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3


def testStaticMethodWithTheNameOfAProperty():
    calls = []
    qt.QTimer.singleShot(0, lambda: calls.append(1))
    timer = qt.QTimer()
    timer.singleShot = True
    assert timer.singleShot is True and timer.isSingleShot()
    qt.QApplication.processEvents()
    assert calls == [1]


@pytest.mark.parametrize("make", [qt.QPushButton, ctk.ctkCollapsibleButton, ctk.ctkComboBox])
def testMisspeltAttributeIsRefused(make):
    widget = make()
    with pytest.raises(AttributeError, match="enabeld"):
        widget.enabeld = False
    with pytest.raises(AttributeError, match="overwritten"):
        widget.setEnabled = False


def testSubclassesInPythonTakeAttributes():
    class Child(qt.QWidget):
        pass

    child = Child()
    child.anything = 3
    child.enabled = False
    assert child.anything == 3 and not child.isEnabled()


def testConnectBySignature():
    button, values = qt.QPushButton(), []
    button.checkable = True
    withValue, without = values.append, lambda: values.append("clicked")
    assert button.connect("clicked(bool)", withValue)
    button.connect("clicked()", without)
    button.connect("clicked(bool)", without)  # takes fewer arguments than there are
    button.click()
    assert values == [True, "clicked", "clicked"]
    assert button.disconnect("clicked(bool)", withValue)
    assert not button.disconnect("clicked(bool)", withValue)
    button.click()
    assert values == [True, "clicked", "clicked"] + ["clicked"] * 2
    with pytest.raises(AttributeError, match="cliked"):
        button.connect("cliked()", without)


def testObjectsThatQtMadeConnectToo():
    table, rows = qt.QTableWidget(2, 1), []
    model = table.selectionModel()
    model.connect("currentRowChanged(QModelIndex,QModelIndex)", lambda new, _old: rows.append(new.row()))
    table.setCurrentCell(1, 0)
    assert rows == [1]


def testEnumerationsAreIntegers():
    box = qt.QCheckBox()
    box.setCheckState(qt.Qt.Checked)
    assert box.checkState() == 2 == qt.Qt.Checked
    assert qt.QMessageBox.Ok == 0x400


def testChildrenByClassName():
    parent = qt.QWidget()
    qt.QLabel(parent).name = "label"
    qt.QPushButton(parent)
    assert [child.name for child in parent.findChildren("QLabel")] == ["label"]
    assert len(parent.findChildren("QAbstractButton")) == 1
    assert len(parent.findChildren(qt.QWidget)) == 2
    assert parent.children()[0].className() == "QLabel"


def testVirtualGettersCanBeOverriddenAndRead():
    class Wide(qt.QWidget):
        def sizeHint(self):
            return qt.QSize(321, 20)

    parent = qt.QWidget()
    layout = qt.QVBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(Wide())
    assert parent.sizeHint.width() == 321


def testManyCallsAreSurvived():
    """PySide6 loses references to None and True with each; see host/__init__.py."""

    class Sender(qt.QObject):
        sent = qt.Signal(int)

    sender, values, label = Sender(), [], qt.QLabel()
    sender.sent.connect(values.append)
    for value in range(30000):
        label.setText("text")
        sender.sent.emit(value)
    assert len(values) == 30000
