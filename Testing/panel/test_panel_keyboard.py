"""The panel without a mouse: help on each widget, keys of the labels, and the order of the Tab key."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import qt
from host.events import pump

UI = Path(__file__).resolve().parents[2] / "RRLMedSAM" / "Resources" / "UI" / "RRLMedSAM.ui"
NAMES = [widget.get("name") for widget in ElementTree.parse(UI).iter("widget")][1:]  # the first is the panel
APPLICATION_MENUS = set("fevh")  # &File, &Edit, &View, &Help of Slicer's main window


def mnemonics(text):
    return [key.lower() for key in re.findall(r"(?<!&)&(\w)", text)]


def test_each_widget_says_what_it_is_for(driver):
    assert [name for name in NAMES if len(getattr(driver.ui, name).toolTip) <= 10] == []


def test_a_label_in_front_of_a_widget_leads_to_it(driver):
    labels = [getattr(driver.ui, name) for name in NAMES if name.endswith("Label")]
    captions = [label for label in labels if label.text.endswith(":")]
    assert len(captions) == 11
    for label in captions:
        assert mnemonics(label.text) and label.buddy() is not None, label.text
        assert label.toolTip == label.buddy().toolTip


def test_no_two_widgets_share_a_key_and_none_takes_the_applications(driver):
    texts = [getattr(getattr(driver.ui, name), "text", "") for name in NAMES]
    keys = [key for text in texts if isinstance(text, str) for key in mnemonics(text)]
    assert len(keys) >= 13
    assert len(set(keys)) == len(keys)
    assert not set(keys) & APPLICATION_MENUS


def test_a_labels_key_moves_to_its_widget(driver):
    driver.window.activateWindow()
    pump()
    for key, name in ((qt.Qt.Key_O, "effortComboBox"), (qt.Qt.Key_D, "deviceComboBox")):
        for event in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QApplication.sendEvent(driver.ui.modelComboBox, qt.QKeyEvent(event, key, qt.Qt.AltModifier))
        assert getattr(driver.ui, name).hasFocus()


def test_the_tab_key_goes_from_top_to_bottom(driver):
    for section in ("worklistCollapsibleButton", "adaptCollapsibleButton", "logCollapsibleButton"):
        getattr(driver.ui, section).collapsed = False
    driver.window.resize(320, 1800)
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
    assert len(order) >= 12
    rows = [y for y, _x in places]
    assert all(below > above - 8 for above, below in zip(rows, rows[1:])), [w.objectName for w in order]
