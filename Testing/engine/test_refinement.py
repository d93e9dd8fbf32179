"""The last stages once more around corrected structures: what is kept, what follows, and what is refused."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from enginekit import WorkerUnderTest, files_in, phantom, rows  # noqa: E402
from RRLMedSAMEngine import pipeline, protocol, refinement, workgrid  # noqa: E402
from RRLMedSAMEngine.atlas import Atlas  # noqa: E402
from RRLMedSAMEngine.errors import Cancelled, EngineError  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402

SHAPE = (36, 34, 38)
LIVER, LUNG, SPLEEN = 4, 9, 30  # the phantom's three organs


def volumes(bend_mm=0.0):
    image, labels, matrix = phantom(SHAPE, bend_mm)
    return Volume(image, Geometry(matrix, SHAPE)), Volume(labels, Geometry(matrix, SHAPE))


ATLAS, LABELS = volumes()
TARGET, TRUTH = volumes(bend_mm=5.0)


def unaligned(labels, edited) -> refinement.Case:
    """A result that has found no deformation at all."""
    grid = TARGET.geometry
    confidence = Volume(np.full(SHAPE, 50, np.uint8), grid)
    return refinement.Case(
        np.eye(4), np.zeros((*SHAPE, 3), np.float32), grid, [Volume(labels, grid)], confidence, edited
    )


def corrected(values):
    """The atlas's labels where they are, the given structures as they are in the target."""
    labels = np.where(np.isin(LABELS.array, values), 0, LABELS.array)
    return np.where(np.isin(TRUTH.array, values), TRUTH.array, labels)


def refine(case, cancelled=lambda: False, device="cpu", target=TARGET):
    return refinement.refine(
        ATLAS, [LABELS], target, case, device, progress=lambda *_: None, warn=lambda _: None, cancelled=cancelled
    )


def dice(a, b, value):
    return 2 * ((a == value) & (b == value)).sum() / ((a == value).sum() + (b == value).sum())


def test_corrected_structures_keep_every_voxel_and_their_neighbours_follow():
    before = corrected([LIVER])
    (labels,), confidence, report = refine(unaligned(before, [LIVER]))
    after = labels.array
    assert np.array_equal(after == LIVER, TRUTH.array == LIVER)
    assert dice(after, TRUTH.array, SPLEEN) > dice(before, TRUTH.array, SPLEEN) + 0.05
    assert after.dtype == before.dtype and labels.geometry.matches(TARGET.geometry)
    assert (confidence.array[after == LIVER] == 100).all()
    rows = {row["label"]: row for row in report["structures"]}
    assert rows[LIVER]["reasons"] == ["corrected"] and rows[LIVER]["confidence"] == 100.0
    assert set(rows) == {LIVER, LUNG, SPLEEN}


def test_neighbours_follow_in_another_contrast_too():
    before = corrected([LIVER])
    (labels,), _, _ = refine(unaligned(before, [LIVER]))
    inverted = Volume(np.where(TARGET.array > 50, 1100 - TARGET.array, 0).astype(np.int16), TARGET.geometry)
    (others,), _, _ = refine(unaligned(before, [LIVER]), target=inverted)
    for value in (SPLEEN, LUNG):
        assert dice(others.array, TRUTH.array, value) > dice(labels.array, TRUTH.array, value) - 0.02


def test_the_drawn_mask_moves_what_the_images_do_not_tell():
    """Where both images are flat, only the correction says where a structure is."""
    flat = [Volume(np.where(v.array > 50, 400, 0).astype(np.int16), v.geometry) for v in (ATLAS, TARGET)]
    before = corrected([LIVER])
    case = unaligned(before, [LIVER])
    options = {"progress": lambda *_: None, "warn": lambda _: None, "cancelled": lambda: False}
    (labels,), _, _ = refinement.refine(flat[0], [LABELS], flat[1], case, "cpu", **options)
    assert np.array_equal(labels.array == LIVER, TRUTH.array == LIVER)
    assert (labels.array != before).any()


def test_what_is_far_from_a_correction_stays():
    """A corrected voxel or two in a corner of the body: beyond the margin nothing is labelled anew."""
    before = LABELS.array.copy()
    before[2:4, 2:4, 2:4] = LIVER
    before[before == LIVER] = 0
    before[2:4, 2:4, 2:4] = LIVER
    (labels,), confidence, _ = refine(unaligned(before, [LIVER]))
    reach = int(np.ceil(refinement.MARGIN_MM / 2.0)) + 4
    outside = np.ones(SHAPE, bool)
    outside[:reach, :reach, :reach] = False
    assert np.array_equal(labels.array[outside], before[outside]) and (confidence.array[outside] == 50).all()


def test_only_the_atlas_s_part_around_the_box_is_looked_at():
    known = Atlas(ATLAS, [LABELS])
    whole_first, whole_last, _cut = known.box
    part = Geometry(TARGET.geometry.voxel_to_lps @ shifted(8, 10, 12), (6, 6, 6))
    affine = shifted(4.0, 0.0, 0.0)
    first, last, cut = workgrid.box_around(known.box, ATLAS.geometry, part, 2.0, affine)
    corners = part.to_lps([[0, 0, 0], [5, 5, 5]]) + [4.0, 0.0, 0.0]
    at = ATLAS.geometry.to_voxel(corners)
    inside = np.clip([at.min(axis=0), at.max(axis=0)], whole_first, whole_last)
    assert (first <= inside[0]).all() and (last >= inside[1]).all()
    assert (
        (first >= whole_first).all() and (last <= whole_last).all() and (last - first < whole_last - whole_first).all()
    )
    assert cut.any()


def shifted(*by):
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix


def test_a_good_result_hardly_changes():
    settings = pipeline.Settings(effort="fast", device="cpu")
    options = {"progress": lambda *_: None, "warn": lambda _: None, "cancelled": lambda: False}
    found = pipeline.segment(ATLAS, [LABELS], TARGET, settings, **options)
    deformation = found.deformation
    before = found.labels[0].array.copy()
    before[before == LIVER] = 0
    before[TRUTH.array == LIVER] = LIVER
    case = refinement.Case(
        deformation.affine,
        deformation.forward,
        deformation.grid,
        [Volume(before, TARGET.geometry)],
        found.confidence,
        [LIVER],
    )
    (labels,), _, _ = refine(case)
    for value in (LUNG, SPLEEN):
        assert dice(labels.array, TRUTH.array, value) > dice(before, TRUTH.array, value) - 0.01
    assert ((labels.array != before) & (before != LIVER)).mean() < 0.01


def test_a_removed_structure_does_not_come_back():
    before = np.where(LABELS.array == LUNG, 0, corrected([LIVER]))
    (labels,), _, _ = refine(unaligned(before, [LIVER, LUNG]))
    assert not (labels.array == LUNG).any()


def test_without_a_corrected_voxel_it_is_refused():
    with pytest.raises(EngineError, match="no voxel"):
        refine(unaligned(np.where(LABELS.array == LIVER, 0, LABELS.array), [LIVER]))


def test_it_can_be_cancelled():
    with pytest.raises(Cancelled):
        refine(unaligned(corrected([LIVER]), [LIVER]), cancelled=lambda: True)


@pytest.fixture(scope="module")
def worker():
    worker = WorkerUnderTest()
    yield worker
    worker.close()


def request(folder, number, **changes):
    """As the panel writes it."""
    arrays = {
        "atlas": ATLAS.array,
        "labels0": LABELS.array,
        "target": TARGET.array,
        "field": np.zeros((*SHAPE, 3), np.float32),
        "corrected0": corrected([LIVER]),
        "confidence": np.full(SHAPE, 50, np.uint8),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    frame = rows(ATLAS.geometry.voxel_to_lps)
    settings = {
        "atlas": protocol.Array("atlas.npy", frame),
        "atlas_labels": [protocol.Array("labels0.npy", frame)],
        "target": protocol.Array("target.npy", frame),
        "affine": rows(np.eye(4)),
        "forward": protocol.Field("field.npy", frame),
        "labels": [protocol.Array("corrected0.npy", frame)],
        "confidence": protocol.Array("confidence.npy", frame),
        "edited": [LIVER],
        "device": "cpu",
    }
    return protocol.Refine(number, str(folder), **{**settings, **changes})


def test_the_worker_refines(worker, tmp_path):
    worker.send(request(tmp_path, 1))
    answer = worker.last_of(1)
    assert isinstance(answer, protocol.Refined), answer
    labels = np.load(tmp_path / answer.labels[0].file)
    assert np.array_equal(labels == LIVER, TRUTH.array == LIVER)
    assert np.load(tmp_path / answer.confidence.file).shape == SHAPE
    assert {"deform", "transfer"} <= set(answer.report["seconds"])


def test_a_cut_off_field_is_a_sentence(worker, tmp_path):
    asked = request(tmp_path, 2)
    with open(tmp_path / "field.npy", "r+b") as file:
        file.truncate(300)
    before = files_in(tmp_path)
    worker.send(asked)
    failed = worker.last_of(2)
    assert isinstance(failed, protocol.Failed) and failed.code == "bad_input" and "deformation" in failed.text
    assert files_in(tmp_path) == before
