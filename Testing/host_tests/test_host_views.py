"""Pictures show what is in the scene: slices, segments and surfaces where they belong."""

import numpy as np
import pytest
import slicer
import slicer.util
from host.picture import BAR_HEIGHT, fourUp, writePng

SIZE = 160  # pixels of one view
SPACING = 2.0  # mm


@pytest.fixture
def nodes(scene):
    """A bright ball with a red segment towards the patient's right, anterior and superior, and a blue one opposite."""
    k, j, i = np.meshgrid(*[np.arange(48.0) - 24] * 3, indexing="ij")
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.util.updateVolumeFromArray(volume, ((i**2 + j**2 + k**2 < 20**2) * 200).astype(np.int16))
    volume.SetSpacing(SPACING, SPACING, SPACING)
    volume.SetOrigin(-24 * SPACING, -24 * SPACING, -24 * SPACING)
    volume.CreateDefaultDisplayNodes()
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, colour, offset in (("red", (1, 0, 0), 8), ("blue", (0, 0, 1), -8)):
        segmentation.GetSegmentation().AddEmptySegment(name, name, colour)
        mask = (i - offset) ** 2 + (j - offset) ** 2 + (k - offset) ** 2 < 7**2
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, name, volume)
    return volume, segmentation


def panes(picture):
    """The four views without their title bars: float (row, column, 3) each."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    corners = {"Red": (0, 0), "3D": (0, 1), "Green": (1, 0), "Yellow": (1, 1)}
    found = {}
    for name, (row, column) in corners.items():
        top, left = row * height + BAR_HEIGHT, column * width
        found[name] = picture[top : top + SIZE, left : left + SIZE].astype(float)
    return found


def centreOf(image, channel):
    """(row, column) of where one colour is much stronger than the others, or None."""
    others = np.delete(image, channel, axis=2).max(axis=2)
    where = np.argwhere(image[..., channel] > others + 60)
    return where.mean(axis=0) if len(where) > 50 else None


def testSegmentsAreWhereTheyBelong(mrml, nodes):
    at = np.array([8, 8, 8]) * SPACING
    views = panes(fourUp(mrml, *nodes, (SIZE, SIZE), at))
    for name in ("Red", "Green"):  # seen from the feet and from the front: the patient's right is on the left
        row, column = centreOf(views[name], 0)
        assert row < SIZE / 2 - 10 and column < SIZE / 2 - 10, name
    row, column = centreOf(views["Yellow"], 0)  # anterior is on the left, superior above
    assert row < SIZE / 2 - 10 and column < SIZE / 2 - 10
    assert centreOf(views["Red"], 2) is None  # the other segment is not in these slices
    assert views["Red"][SIZE // 2, SIZE // 2].min() > 100  # the volume itself


def testSurfacesAreDrawn(mrml, nodes):
    view = panes(fourUp(mrml, *nodes, (SIZE, SIZE)))["3D"]
    red, blue = centreOf(view, 0), centreOf(view, 2)
    assert red is not None and blue is not None
    assert red[0] < SIZE / 2 - 5  # superior is above


def testTwiceTheSame(mrml, nodes):
    first = fourUp(mrml, *nodes, (SIZE, SIZE))
    assert np.array_equal(first, fourUp(mrml, *nodes, (SIZE, SIZE)))


def testVolumeAlone(mrml, nodes, tmp_path):
    nodes[1].GetDisplayNode().SetVisibility(False)
    picture = fourUp(mrml, nodes[0], None, (SIZE, SIZE))
    views = panes(picture)
    assert centreOf(views["Red"], 0) is None and views["Red"].max() > 200
    writePng(picture, tmp_path / "views.png")
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")
