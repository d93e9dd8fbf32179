"""Phantom and brain in the module 'Sample Data': registered after the application's start, made without a network."""

import socket
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import slicer.util
from RRLMedSAMLib import brainsample, sampledata
from RRLMedSAMLib.scene import ijkToRas


@pytest.fixture
def sources(openModule, monkeypatch):
    """Callable: what the module 'Sample Data' lists by name after the application has started."""

    def start():
        monkeypatch.setattr(slicer.modules, "sampleDataSources", {}, raising=False)
        openModule()
        assert not slicer.modules.sampleDataSources  # nothing before: the module is not there yet
        slicer.app.startupCompleted.emit()
        slicer.app.startupCompleted.emit()
        listed = slicer.modules.sampleDataSources["RRLMedSAM"]
        assert len({source.sampleName for source in listed}) == len(listed)
        return {source.sampleName: source for source in listed}

    return start


@pytest.fixture
def source(sources):
    return sources()["RRLMedSAMPhantom"]


def test_it_has_a_name_a_thumbnail_and_its_nodes(source):
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


def masks(segmentation, volume):
    """{label value: mask as int}"""
    segments = segmentation.GetSegmentation()
    return {
        segments.GetSegment(each).GetLabelValue(): slicer.util.arrayFromSegmentBinaryLabelmap(
            segmentation, each, volume
        ).astype(int)
        for each in segments.GetSegmentIDs()
    }


def test_the_target_is_the_atlas_moved(scene):
    atlas, segmentation, _target = sampledata.addPhantom()
    truth = sampledata.phantom(sampledata.SHIFT)[1]
    labels = sum(value * mask for value, mask in masks(segmentation, atlas).items())
    assert set(np.unique(labels)) == {0, 1, 2}
    shift = round(sampledata.SHIFT)
    assert np.array_equal(labels[:, :, :-shift], truth[:, :, shift:])


# ------------------------------------------------------------ the brain


@pytest.mark.parametrize(("packages", "isThere"), [(("json", "email"), True), (("json", "no_such_package"), False)])
def test_the_brain_is_listed_where_its_packages_are(sources, monkeypatch, packages, isThere):
    monkeypatch.setattr(sampledata, "BRAIN_PACKAGES", packages)
    monkeypatch.delitem(sys.modules, brainsample.__name__)
    listed = sources()
    assert ("RRLMedSAMBrain" in listed) is isThere and "RRLMedSAMPhantom" in listed
    assert brainsample.__name__ not in sys.modules  # nor what it needs: Slicer starts as fast as before
    assert all(Path(source.thumbnailFileName).is_file() for source in listed.values())


def test_a_click_on_the_brain_adds_it_with_its_structures_names(scene, monkeypatch):
    try:
        atlas, labels = brainsample.readAtlas()
    except brainsample.SampleMissing as error:
        pytest.skip(str(error))
    corner = tuple(slice(60, 100) for _ in range(3))  # the whole one takes a while
    monkeypatch.setattr(brainsample, "readAtlas", lambda: (atlas[corner], labels[corner]))
    made = sampledata.addBrain()
    assert [node.GetName() for node in made] == ["brain atlas", "brain segments", "brain target"]
    volume, segmentation, target = made
    names = {structure.value: structure.name for structure in brainsample.readStructures()}
    segments = segmentation.GetSegmentation()
    found = masks(segmentation, volume)
    truth = sitk.GetArrayFromImage(labels[corner])
    assert len(found) > 10 and set(found) == set(np.unique(truth)) - {0}
    for segmentId in segments.GetSegmentIDs():
        segment = segments.GetSegment(segmentId)
        value = segment.GetLabelValue()
        assert segment.GetName() == names[value] and np.array_equal(found[value], truth == value)
    image = brainsample.make().target
    place = ijkToRas(target) @ [3, 5, 7, 1] * [-1, -1, 1, 1]
    assert np.allclose(place[:3], image.TransformIndexToPhysicalPoint((3, 5, 7)))
    assert np.array_equal(slicer.util.arrayFromVolume(target), sitk.GetArrayFromImage(image))
