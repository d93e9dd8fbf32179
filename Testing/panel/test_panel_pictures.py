"""The tutorial's pictures can be made, and those in the documentation are small and all there."""

import re
import struct
from pathlib import Path

import qt
from driver import fakeCommand
from host import files
from host.demopictures import SIZE as DEMO_SIZE
from host.demopictures import SLICE, makeDemoPictures
from host.pictures import SIZE, THUMBNAIL, makePictures
from RRLMedSAMLib.sampledata import addPhantom

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


def test_the_demos_scene_has_its_pictures(scene, driver, tmp_path):
    driver.choose(*addPhantom())
    driver.click()
    files.saveScene(tmp_path / "scene.mrb")
    paths = makeDemoPictures(tmp_path / "scene.mrb", tmp_path / "new")
    assert [path.stem for path in paths] == ["panel", "result", "overlays", "brain-thumbnail"]
    images = dict(zip([path.stem for path in paths], map(qt.QImage, map(str, paths))))
    sizes = {name: (image.width(), image.height()) for name, image in images.items()}
    assert sizes["panel"] == DEMO_SIZE and sizes["brain-thumbnail"] == THUMBNAIL
    # Three slices beside each other, and no two of them alike.
    width = sizes["overlays"][0] // 3
    parts = [images["overlays"].copy(n * width, 0, SLICE[0], SLICE[1]) for n in range(3)]
    assert parts[0] != parts[1] != parts[2] != parts[0]
    # The documentation has these sizes, too: they were made so.
    for name in ("panel", "result", "overlays"):
        shown = qt.QImage(str(PICTURES / f"{name}.png"))
        assert (shown.width(), shown.height()) == sizes[name], name


def test_the_documentations_pictures_are_small_and_readable():
    paths = list(PICTURES.glob("*.png"))
    assert len(paths) >= 6
    for path in paths:
        width = struct.unpack(">I", path.read_bytes()[16:20])[0]
        assert path.stat().st_size < LARGEST and 280 <= width <= 1300, path.name
