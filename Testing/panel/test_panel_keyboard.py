"""The panel without a mouse: help on each widget, keys of the labels, and the order of the Tab key."""

import re
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import qt
from host.events import pump
from RRLMedSAMLib import adaptview, sampledata

UI = Path(__file__).resolve().parents[2] / "RRLMedSAM" / "Resources" / "UI" / "RRLMedSAM.ui"
NAMES = [widget.get("name") for widget in ElementTree.parse(UI).iter("widget")][1:]  # the first is the panel
SECTIONS = ElementTree.parse(UI).findall(".//widget[@class='ctkCollapsibleButton']")
APPLICATION_MENUS = set("fevh")  # &File, &Edit, &View, &Help of Slicer's main window


def mnemonics(text):
    return [key.lower() for key in re.findall(r"(?<!&)&(\w)", text)]


def test_each_widget_says_what_it_is_for(driver):
    assert [name for name in NAMES if len(getattr(driver.ui, name).toolTip) <= 10] == []


def test_a_label_in_front_of_a_widget_leads_to_it(driver):
    labels = [getattr(driver.ui, name) for name in NAMES if name.endswith("Label")]
    captions = [label for label in labels if label.text.endswith(":")]
    assert len(captions) == 12
    for label in captions:
        assert mnemonics(label.text) and label.buddy() is not None, label.text
        assert label.toolTip == label.buddy().toolTip


def keysOf(ui):
    """{section: the keys of what it holds}; what lies outside of all sections is in the section "run"."""
    keys = {"run": []}
    inside = {child.get("name"): section.get("name") for section in SECTIONS for child in section.iter("widget")}
    for name in NAMES:
        text = getattr(getattr(ui, name), "text", "")
        if isinstance(text, str):
            keys.setdefault(inside.get(name, "run"), []).extend(mnemonics(text))
    return keys


def test_each_button_with_a_text_has_a_key(driver):
    buttons = [name for name in NAMES if isinstance(getattr(driver.ui, name), qt.QPushButton)]
    assert len(buttons) > 20
    assert [name for name in buttons if not mnemonics(getattr(driver.ui, name).text)] == []


def test_no_key_is_taken_twice_where_it_would_be_seen_twice(driver):
    """The alphabet does not suffice for all: sections that are closed at first share keys with the results."""
    keys = keysOf(driver.ui)
    inputs, results = keys.pop("inputsCollapsibleButton"), keys.pop("resultsCollapsibleButton")
    always = inputs + keys.pop("run")
    assert len(always) >= 8 and len(results) >= 11 and len(keys) == 4
    for together in (always + results, *(always + section for section in keys.values())):
        assert sorted(together) == sorted(set(together))
        assert not set(together) & APPLICATION_MENUS


def test_the_buttons_whose_text_changes_keep_a_free_key(driver, monkeypatch):
    ui, adapting = driver.ui, driver.panel.adapting
    ui.adaptCollapsibleButton.collapsed = False
    others = [key for key in keysOf(ui)["adaptCollapsibleButton"] if key not in mnemonics(ui.adaptButton.text)]
    always = keysOf(ui)["inputsCollapsibleButton"] + keysOf(ui)["run"]
    shown = {ui.adaptButton.text}
    for isBusy, isUnfinished in ((True, False), (False, True)):
        task = types.SimpleNamespace(isStopping=False) if isBusy else None
        monkeypatch.setattr(adapting, "_task", task)
        monkeypatch.setattr(adaptview, "isUnfinished", lambda _output, answer=isUnfinished: answer)
        adapting._parameterNode.adaptOutput = "/mine.rrl"
        adapting.update()
        shown.add(ui.adaptButton.text)
    assert len(shown) == 3
    for text in shown:
        assert len(mnemonics(text)) == 1 and not set(mnemonics(text)) & {*others, *always}, text


def test_a_labels_key_moves_to_its_widget(driver):
    driver.window.activateWindow()
    pump()
    for key, name in ((qt.Qt.Key_O, "effortComboBox"), (qt.Qt.Key_D, "deviceComboBox")):
        for event in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QApplication.sendEvent(driver.ui.modelComboBox, qt.QKeyEvent(event, key, qt.Qt.AltModifier))
        assert getattr(driver.ui, name).hasFocus()


def test_the_tab_key_goes_from_top_to_bottom(driver, scene):
    driver.choose(*sampledata.addPhantom())
    driver.click()  # for the section Results
    sections = [section.get("name") for section in SECTIONS]
    for name in sections:
        getattr(driver.ui, name).collapsed = False
    driver.wait(lambda: not driver.logic.isBusy)  # the section Set-up looks what is there
    driver.window.resize(320, 3000)
    pump()
    order, widget = [], driver.window.nextInFocusChain()
    while widget is not driver.window and len(order) < 500:
        if widget.focusPolicy & qt.Qt.TabFocus and widget.isVisible() and widget.objectName in NAMES:
            order.append(widget)
        widget = widget.nextInFocusChain()
    places = []
    for widget in order:
        corner = widget.mapTo(driver.window, qt.QPoint(0, 0))
        places.append((corner.y(), corner.x()))
    names = {widget.objectName for widget in order}
    assert {"structuresTable", "editButton", "backButton", "setupCheckButton", "bundleInstallButton"} <= names
    for (y, x), (nextY, nextX) in zip(places, places[1:]):
        assert nextY > y + 8 or (nextY > y - 8 and nextX > x), [widget.objectName for widget in order]


def test_the_tab_key_leaves_a_table(driver, scene):
    """Else it would go through all its cells first."""
    driver.choose(*sampledata.addPhantom())
    driver.click()
    driver.window.activateWindow()
    tables = [getattr(driver.ui, name) for name in NAMES if name.endswith("Table")]
    assert len(tables) == 3 and not any(table.tabKeyNavigation for table in tables)
    table = driver.ui.structuresTable
    table.setFocus()
    pump()
    for event in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
        qt.QApplication.sendEvent(table, qt.QKeyEvent(event, qt.Qt.Key_Tab, qt.Qt.NoModifier))
    assert driver.ui.nextPlaceButton.hasFocus()
