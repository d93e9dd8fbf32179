"""The tutorial's pictures can be made, and those in the documentation are small and all there."""

import re
import struct
from pathlib import Path

import qt
from driver import fakeCommand
from host.pictures import SIZE, THUMBNAIL, makePictures

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 150_000  # bytes


def test_each_step_has_a_picture_of_its_own(scene, tmp_path):
    def useFakeWorker(logic):
        logic.worker._command = fakeCommand("good", 0.5)

    paths = makePictures(tmp_path / "new", useFakeWorker)
    images = [qt.QImage(str(path)) for path in paths]
    assert all((image.width(), image.height()) == SIZE for image in images[:-1])
    assert (images[-1].width(), images[-1].height()) == THUMBNAIL
    assert len({path.read_bytes() for path in paths}) == len(paths)
    # The documentation has exactly these.
    made = {path.name for path in paths[:-1]}
    assert made == {path.name for path in PICTURES.glob("step*.png")}
    assert made <= set(re.findall(r"docs/pictures/([\w-]+\.png)", (ROOT / "README.md").read_text(encoding="utf-8")))


def test_the_documentations_pictures_are_small_and_readable():
    paths = list(PICTURES.glob("*.png"))
    assert len(paths) >= 6
    for path in paths:
        width = struct.unpack(">I", path.read_bytes()[16:20])[0]
        assert path.stat().st_size < LARGEST and 280 <= width <= 1300, path.name
