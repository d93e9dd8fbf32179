"""The phantom in the module 'Sample Data': registered when the application has started, made without a network."""

import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from RRLMedSAMLib import sampledata


@pytest.fixture
def source(openModule, monkeypatch):
    """What the module 'Sample Data' lists after the application has started."""
    monkeypatch.setattr(slicer.modules, "sampleDataSources", {}, raising=False)
    openModule()
    assert not slicer.modules.sampleDataSources  # nothing before: the module is not there yet
    slicer.app.startupCompleted.emit()
    slicer.app.startupCompleted.emit()
    (only,) = slicer.modules.sampleDataSources["RRLMedSAM"]
    return only


def test_it_has_a_name_a_thumbnail_and_its_nodes(source):
    assert source.sampleName == "RRLMedSAMPhantom"
    assert source.nodeNames == ["phantom atlas", "phantom segments", "phantom target"]
    head = Path(source.thumbnailFileName).read_bytes()[:24]
    assert head.startswith(b"\x89PNG") and struct.unpack(">II", head[16:]) == (280, 260)


def test_a_click_on_it_adds_the_nodes_without_a_network(source, scene, monkeypatch):
    def refuse(*_arguments):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    nodes = source.customDownloader(source)
    assert [node.GetName() for node in nodes] == source.nodeNames
    assert all(scene.IsNodePresent(node) for node in nodes)


def test_it_can_be_segmented_at_once(scene, driver):
    driver.choose(*sampledata.addPhantom())
    assert driver.ui.applyButton.enabled
    driver.click()
    assert [row[0] for row in driver.table] == ["core", "shell"]


def test_the_target_is_the_atlas_moved(scene):
    atlas, segmentation, _target = sampledata.addPhantom()
    truth = sampledata.phantom(sampledata.SHIFT)[1]
    labels = sum(
        value * slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, str(value), atlas).astype(int)
        for value in sampledata.STRUCTURES
    )
    assert set(np.unique(labels)) == {0, 1, 2}
    shift = round(sampledata.SHIFT)
    assert np.array_equal(labels[:, :, :-shift], truth[:, :, shift:])
