"""From the click to the segments, with the real worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import phantom
import pytest
import SimpleITK as sitk
import slicer
import slicer.util
import vtk
from driver import Driver
from host.events import screenshot
from RRLMedSAMLib import selftest
from RRLMedSAMLib.logic import OneShotLogic
from RRLMedSAMLib.resultnodes import readReport
from RRLMedSAMLib.scene import LPS_FROM_RAS

pytestmark = pytest.mark.needs_torch

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "RRLMedSAM"
# Oblique, left-handed, a little anisotropic.
ATLAS_GRID = phantom.geometry((1.0, 1.1, 1.2), (10, -15, 5), flip=True, origin=(30, -60, 12))
TARGET_GRID = phantom.geometry((1.1, 1.0, 1.2), (-5, 8, 20), flip=True, origin=(-20, -40, 60))


@pytest.fixture(scope="module")
def realLogic():
    logic = OneShotLogic()
    yield logic
    logic.cleanup()


@pytest.fixture
def nodes(scene):
    """(atlas, segmentation, target, the target's true labels)."""
    (atlasImage, atlasLabels), (targetImage, targetLabels) = selftest.phantom(0.0), selftest.phantom(selftest.SHIFT)
    atlas = phantom.volume(scene, "Atlas", array=atlasImage, ijkToRas=ATLAS_GRID)
    target = phantom.volume(scene, "Patient", array=targetImage, ijkToRas=TARGET_GRID)
    masks = {"body": atlasLabels == 1, "organ": atlasLabels == 2}
    return atlas, phantom.segmentation(scene, "Atlas segments", masks, atlas), target, targetLabels


def foundLabels(segmentation, target):
    """Label map (k, j, i) of the segments of `nodes`."""
    masks = [slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, i, target) for i in ("id-body", "id-organ")]
    return masks[0] + 2 * masks[1]


def dice(found, truth, value):
    return 2 * ((found == value) & (truth == value)).sum() / ((found == value).sum() + (truth == value).sum())


def test_a_click_segments(openModule, nodes):
    """A picture of the panel is kept where RRLMEDSAM_PICTURES names a folder."""
    atlas, segmentation, target, truth = nodes
    user = Driver(openModule())
    user.choose(atlas, segmentation, target)
    user.ui.effortComboBox.setCurrentIndex(0)
    user.ui.deviceComboBox.setCurrentIndex(1)
    user.ui.applyButton.click()
    user.wait(lambda: not user.logic.isBusy, seconds=120)
    assert user.status.startswith("Finished"), user.status + user.log
    result = user.logic.getParameterNode().resultSegmentation
    found = foundLabels(result, target)
    assert min(dice(found, truth, value) for value in (1, 2)) > 0.9
    assert len(user.table) == 2
    if "RRLMEDSAM_PICTURES" in os.environ:
        screenshot(user.window, str(Path(os.environ["RRLMEDSAM_PICTURES"]) / "panel.png"))


def test_the_modules_own_test_passes(openModule):
    openModule().source.RRLMedSAMTest().runTest()


def test_the_transforms_move_what_the_labels_say(realLogic, nodes, scene):
    """The atlas's own segmentation put under the transform covers the result, with parents of both sides."""
    atlas, segmentation, target, truth = nodes
    random = np.random.default_rng(5)
    common = phantom.linear(scene, phantom.randomLinear(random))
    for node in nodes[:3]:
        node.SetAndObserveTransformNodeID(common.GetID())
    result = realLogic.segmentAndWait(atlas, segmentation, target, effort="fast", device="cpu")
    found = foundLabels(result.segmentation, target)
    assert min(dice(found, truth, value) for value in (1, 2)) > 0.9
    # Where each voxel of the target is in the atlas, by MRML's transforms alone.
    atlas.SetAndObserveTransformNodeID(result.atlasToTarget.GetID())
    transform = slicer.vtkMRMLTransformNode
    toAtlas = vtk.vtkGeneralTransform()
    transform.GetTransformBetweenNodes(target.GetParentTransformNode(), atlas.GetParentTransformNode(), toAtlas)
    index = np.argwhere(found == 2)[::7, ::-1]
    points = index @ TARGET_GRID[:3, :3].T + TARGET_GRID[:3, 3]
    inAtlas = np.array([toAtlas.TransformPoint(*point) for point in points])
    atlasIndex = np.rint((inAtlas - ATLAS_GRID[:3, 3]) @ np.linalg.inv(ATLAS_GRID[:3, :3]).T).astype(int)
    atlasLabels = selftest.phantom(0.0)[1]
    agreement = (atlasLabels[tuple(atlasIndex.T[::-1])] == 2).mean()
    assert agreement > 0.95  # the rest are voxels at the border


def test_the_panel_and_the_command_line_give_identical_labels(realLogic, nodes, tmp_path):
    atlas, segmentation, target, _truth = nodes
    result = realLogic.segmentAndWait(atlas, segmentation, target, effort="fast", device="cpu", seed=3)
    folder = tmp_path / "Bilder äöü"
    folder.mkdir()
    images = {
        "atlas": (slicer.util.arrayFromVolume(atlas), ATLAS_GRID),
        "labels": (selftest.phantom(0.0)[1], ATLAS_GRID),
        "target": (slicer.util.arrayFromVolume(target), TARGET_GRID),
    }
    for name, (array, ijkToRas) in images.items():
        image = sitk.GetImageFromArray(array)
        matrix = LPS_FROM_RAS @ ijkToRas
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(matrix[:3, 3].tolist())
        image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))  # keeps the geometry to the last digit
    command = [sys.executable, "-m", "RRLMedSAMEngine.cli", "--effort", "fast", "--device", "cpu", "--seed", "3"]
    for option in ("atlas", "target"):
        command += [f"--{option}", str(folder / f"{option}.nrrd")]
    command += ["--atlas-labels", str(folder / "labels.nrrd"), "--output", str(folder / "out")]
    subprocess.run(command, check=True, cwd=MODULE_FOLDER, env={**os.environ, "PYTHONPATH": str(MODULE_FOLDER)})
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "out" / "target" / "labels.nii.gz")))
    assert np.array_equal(written, foundLabels(result.segmentation, target))
    report = json.loads((folder / "out" / "target" / "report.json").read_text())
    assert report["settings"] == readReport(result.segmentation)["settings"]


def test_cancel_keeps_the_worker_warm(realLogic, nodes):
    run = realLogic.segment(*nodes[:3], effort="best", device="cpu")
    while run.stage != "align":
        realLogic.tick()
        assert run.isActive
    realLogic.cancel()
    realLogic.wait(run)
    assert run.error.code == "cancelled"
