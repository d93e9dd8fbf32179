"""A result written as DICOM segmentation object and read back: names, codes, geometry, voxels."""

import dicomseg
import numpy as np
import phantom
import pydicom
import pytest
import slicer.util

SHAPE = (12, 26, 30)
LIVER = "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~^^~^^~^^"
TUMOUR = "Segmentation category and type~SCT^49755003^Morphologically Abnormal Structure~SCT^4147007^Mass~^^~^^~^^~^^"


@pytest.fixture
def exported(scene, goodLogic, tmp_path):
    """(the SEG as pydicom reads it, the result's node, the target's series)."""
    voxels = np.random.default_rng(1).integers(0, 900, SHAPE).astype(np.int16)
    datasets = dicomseg.series(voxels)
    target = phantom.volume(scene, "target", ijkToRas=dicomseg.ijkToRas(), array=voxels)
    target.SetAttribute("DICOM.instanceUIDs", " ".join(dataset.SOPInstanceUID for dataset in datasets))
    atlas = phantom.volume(scene, "atlas", (20, 24, 28))
    labels = phantom.boxes((20, 24, 28))
    tumour = (labels == 1) & (np.arange(28) < 4)
    masks = {"liver": labels == 1, "tumour": tumour, "nothing": labels == 9, "untold": labels == 2}
    segments = phantom.segmentation(scene, "segments", masks, atlas)
    for name, terminology in (("liver", LIVER), ("tumour", TUMOUR)):
        segment = segments.GetSegmentation().GetSegment(f"id-{name}")
        segment.SetTerminology(terminology)
        segment.SetTag("DICOM.SegmentAlgorithmType", "MANUAL")  # true of the atlas alone
    result = goodLogic.segmentAndWait(atlas, segments, target).segmentation
    path = tmp_path / "result.dcm"
    dicomseg.export(result, datasets, path)
    return pydicom.dcmread(path), result, datasets


def codes(sequence):
    (item,) = sequence
    return item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning


def test_segments_have_the_atlass_names_and_codes(exported):
    segments = exported[0].SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == ["liver", "tumour", "untold"]
    assert [codes(segment.SegmentedPropertyCategoryCodeSequence) for segment in segments] == [
        ("SCT", "123037004", "Anatomical Structure"),
        ("SCT", "49755003", "Morphologically Abnormal Structure"),
        ("SCT", "85756007", "Tissue"),  # Slicer's own for a segment that nobody gave one
    ]
    assert [codes(segment.SegmentedPropertyTypeCodeSequence)[2] for segment in segments] == ["Liver", "Mass", "Tissue"]


def test_a_label_map_as_atlas_gives_valid_codes_too(scene, goodLogic):
    atlas, target = phantom.volume(scene, "atlas"), phantom.volume(scene, "target", seed=1)
    labels = phantom.volume(scene, "l", array=phantom.boxes((20, 24, 28)), className="vtkMRMLLabelMapVolumeNode")
    result = goodLogic.segmentAndWait(atlas, labels, target).segmentation.GetSegmentation()
    for segmentId in result.GetSegmentIDs():
        parts = result.GetSegment(segmentId).GetTerminology().split("~")
        assert all(part.split("^")[1] for part in parts[1:3])


def test_it_says_that_nobody_drew_them(exported):
    for segment in exported[0].SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmName == "RRLMedSAM"


def test_it_refers_to_the_targets_series_and_lies_on_its_slices(exported):
    dataset, _result, datasets = exported
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == datasets[0].SeriesInstanceUID
    known = {source.SOPInstanceUID: source for source in datasets}
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence} <= set(known)
    assert dataset.FrameOfReferenceUID == datasets[0].FrameOfReferenceUID
    shared = dataset.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    assert measures.PixelSpacing == pytest.approx(datasets[0].PixelSpacing)
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    assert orientation == pytest.approx(datasets[0].ImageOrientationPatient)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        assert position == pytest.approx(known[source].ImagePositionPatient, abs=1e-3)


def test_its_voxels_are_the_results(exported):
    dataset, result, datasets = exported
    slices = {tuple(np.round(source.ImagePositionPatient, 3)): k for k, source in enumerate(datasets)}
    found = np.zeros((3, *SHAPE), np.uint8)
    frames = dataset.pixel_array.reshape(-1, *SHAPE[1:])
    for pixels, frame in zip(frames, dataset.PerFrameFunctionalGroupsSequence):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        k = slices[tuple(np.round(frame.PlanePositionSequence[0].ImagePositionPatient, 3))]
        found[number - 1, k] = pixels
    reference = result.GetNodeReference(result.GetReferenceImageGeometryReferenceRole())
    for number, name in enumerate(("liver", "tumour", "untold")):
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(result, f"id-{name}", reference)
        assert mask.any() and np.array_equal(found[number], mask)
