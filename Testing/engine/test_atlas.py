"""What is kept of an atlas from one target to the next, and when it is made anew."""

import dataclasses
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from enginekit import phantom  # noqa: E402
from RRLMedSAMEngine import atlas as atlases  # noqa: E402
from RRLMedSAMEngine import mirror, models, package  # noqa: E402
from RRLMedSAMEngine.atlas import Atlas  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402

SHAPE = (24, 22, 26)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(atlases, "_kept", {})


def volumes(shift=0.0):
    image, labels, matrix = phantom(SHAPE)
    matrix[0, 3] += shift
    return Volume(image, Geometry(matrix, SHAPE)), [Volume(labels, Geometry(matrix, SHAPE))]


def test_an_atlas_that_comes_again_is_known_by_its_content(monkeypatch):
    asked = []
    monkeypatch.setattr(mirror, "mirrored", lambda *_: asked.append(True))
    first = Atlas.known(*volumes())
    window, box = first.window, first.box
    first.mirrored(lambda: None)
    again = Atlas.known(*volumes())
    assert again.window is window and again.box is box
    assert again.mirrored(lambda: None) is None and len(asked) == 1


@pytest.mark.parametrize("change", ["image", "labels", "place"])
def test_another_content_is_another_atlas(change):
    window = Atlas.known(*volumes()).window
    image, labels = volumes(shift=1.0 if change == "place" else 0.0)
    if change == "image":
        image.array[3, 4, 5] += 1
    elif change == "labels":
        labels[0].array[3, 4, 5] = 9
    assert Atlas.known(image, labels).window is not window
    assert len(atlases._kept) == 1  # only the last one is kept


def test_the_volumes_are_of_the_values_in_their_order():
    image, labels = volumes()
    (found,) = Atlas.known(image, labels).volumes_ml([np.array([4, 9, 30])])
    assert np.allclose(found, [(labels[0].array == value).sum() * 0.008 for value in (4, 9, 30)])


def test_a_package_is_read_again_when_its_file_changes_and_its_warnings_are_said_each_time(monkeypatch, tmp_path):
    path, read = tmp_path / "m.rrl", []
    path.write_bytes(b"1")

    def load(name, _effort, _image, _labels, warn):
        read.append(name)
        warn("another atlas")
        return "model", "card"

    monkeypatch.setattr(models, "load", load)
    said = []
    for _ in range(2):
        assert Atlas.known(*volumes()).model(str(path), "fast", said.append) == ("model", "card")
    assert len(read) == 1 and said == ["another atlas"] * 2
    os.utime(path, (1, 1))
    Atlas.known(*volumes()).model(str(path), "fast", said.append)
    assert len(read) == 2


@pytest.mark.parametrize(
    "fingerprint, training, prompts",
    [("own", {"prompts": 2}, 2), ("own", {}, 1), ("own", {"prompts": 10**9}, 1), ("other", {"prompts": 2}, 1)],
)
def test_only_a_model_that_learned_it_on_this_atlas_is_prompted_twice(fingerprint, training, prompts):
    image, labels = volumes()
    atlas, known = Atlas(image, labels), models.read(models.find("general"))[1]
    of = package.fingerprint(image, labels) if fingerprint == "own" else fingerprint
    assert atlas.prompts(dataclasses.replace(known, atlas_fingerprint=of, training=training)) == prompts
