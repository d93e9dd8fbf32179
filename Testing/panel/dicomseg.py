"""A scanner's series for tests, and what Slicer's export makes of a result: a DICOM segmentation object (SEG)."""

import highdicom
import numpy as np
import pydicom
import slicer.util
import vtk
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SPACING = (0.8, 1.1, 2.5)  # mm along i, j, k
ORIGIN = (-12.0, 9.0, 31.0)  # LPS mm


def directions():
    """(3, 3), columns: LPS directions of i, j, k; oblique."""
    a, b = 0.3, -0.2
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return about_z @ about_x


def ijkToRas():
    matrix = np.eye(4)
    matrix[:3, :3] = directions() * SPACING
    matrix[:3, 3] = ORIGIN
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


def series(voxels):
    """An MR series of the voxels (k, j, i), int16: a dataset for each slice."""
    study, frame, serial = generate_uid(), generate_uid(), generate_uid()
    return [_slice(voxels[k], k, study, frame, serial) for k in range(len(voxels))]


def _slice(pixels, k, study, frame, serial):
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, serial, frame
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "Test^One", "1", "", ""
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20260101", "120000", "1", ""
    dataset.ReferringPhysicianName, dataset.Manufacturer, dataset.Modality = "", "none", "MR"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.PositionReferenceIndicator = 1, k + 1, ""
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelSpacing, dataset.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    axes = directions()
    dataset.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
    dataset.ImagePositionPatient = list(np.array(ORIGIN) + axes[:, 2] * SPACING[2] * k)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = pixels.astype("<i2").tobytes()
    return dataset


def export(segmentationNode, datasets, path):
    """Writes the SEG of the node's segments from what the node itself holds, as Slicer's export does."""
    reference = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
    uids = reference.GetAttribute("DICOM.instanceUIDs").split()
    sources = [next(dataset for dataset in datasets if dataset.SOPInstanceUID == uid) for uid in uids]
    segmentation = segmentationNode.GetSegmentation()
    descriptions, masks = [], []
    for segmentId in segmentation.GetSegmentIDs():
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentId, reference)
        if mask is not None and mask.any():
            descriptions.append(_description(segmentation.GetSegment(segmentId), len(masks) + 1))
            masks.append(mask > 0)
    segmentationObject = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=100,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="RRLMedSAM",
        manufacturer_model_name="RRLMedSAM",
        software_versions="test",
        device_serial_number="1",
    )
    segmentationObject.save_as(path)


def _description(segment, number):
    category, kind, _modifier, *_rest = [_code(part) for part in segment.GetTerminology().split("~")[1:]]
    algorithm = highdicom.AlgorithmIdentificationSequence(
        _tag(segment, "DICOM.SegmentAlgorithmName"), codes.DCM.ArtificialIntelligence, "test"
    )
    return highdicom.seg.SegmentDescription(
        number, segment.GetName(), category, kind, _tag(segment, "DICOM.SegmentAlgorithmType"), algorithm
    )


def _code(text):
    """A part of Slicer's terminology entry, scheme^value^meaning; None where it is empty or not a code."""
    scheme, _, rest = text.partition("^")
    value, _, meaning = rest.partition("^")
    return CodedConcept(value, scheme, meaning) if scheme and value and meaning else None


def _tag(segment, name):
    value = vtk.mutable("")
    if not segment.GetTag(name, value):
        raise KeyError(name)
    return str(value)
