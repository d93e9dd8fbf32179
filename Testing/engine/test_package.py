"""Model packages: what is written comes back, and what is not a model is refused with a sentence."""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from RRLMedSAMEngine import models, package  # noqa: E402
from RRLMedSAMEngine.card import CARD, SCHEMA, WEIGHTS, Card, read_card  # noqa: E402
from RRLMedSAMEngine.errors import EngineError  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume, read_labels, read_volume  # noqa: E402
from RRLMedSAMEngine.networks.model import Model  # noqa: E402
from RRLMedSAMEngine.networks.sizes import Sizes  # noqa: E402
from safetensors.torch import load, save  # noqa: E402

pytestmark = pytest.mark.needs_torch

SMALL = Sizes(channels=(8, 12, 16, 16), token=16, embedding=8, heads=2, teacher=8)


def make_card(**changes):
    card = Card(
        name="test", summary="A test.", sizes=dataclasses.asdict(SMALL), atlas_fingerprint="", structures=[],
        intensity="MR", spacing_mm=1.0, training={}, seed=0, date="2026-11-23", figures={}, sources=[], terms="None.",
    )  # fmt: skip
    return dataclasses.replace(card, **changes)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model(SMALL)


@pytest.fixture
def path(tmp_path, model):
    package.write(tmp_path / "model.rrl", model.state_dict(), make_card())
    return tmp_path / "model.rrl"


def refusal(path, action=models.read):
    with pytest.raises(EngineError) as caught:
        action(path)
    assert caught.value.code == "bad_model" and caught.value.action
    assert str(path.parent) not in str(caught.value)
    return caught.value.text


def rebuilt(path, members):
    """The package with other members: name -> bytes."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def members(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def with_card(path, **changes):
    content = members(path)
    content[CARD] = json.dumps({**json.loads(content[CARD]), **changes}).encode()
    return rebuilt(path, content)


def test_a_model_comes_back_to_the_precision_that_it_is_stored_in(path, model):
    read, card = models.read(path)
    assert card.name == "test" and card.sizes["channels"] == [8, 12, 16, 16] and not read.training
    for name, tensor in read.state_dict().items():
        wanted = model.state_dict()[name]
        rows = wanted.flatten(1) if wanted.dim() > 1 else wanted[:, None]
        step = rows.abs().amax(dim=1, keepdim=True) / 127
        missed = (tensor.view_as(rows) - rows).abs()
        assert bool((missed <= 0.51 * step + rows.abs() / 1000).all()), name


def test_a_package_has_a_byte_for_a_weight(path, model):
    assert path.stat().st_size < 1.6 * sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.pop("general.levels.0.1.0.weight.scale"),
        lambda stored: stored.update({"general.levels.0.1.0.weight.scale": torch.ones(3)}),
        lambda stored: stored.update({"other.scale": torch.ones(3)}),
        lambda stored: stored.update({"one": torch.ones((), dtype=torch.int8), "one.scale": torch.ones(())}),
    ],
)
def test_scales_that_do_not_fit_the_weights(path, change):
    with zipfile.ZipFile(path) as file:
        card, stored = json.loads(file.read(CARD)), load(file.read(WEIGHTS))
    change(stored)
    content = save(stored)
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    assert "cannot be read" in refusal(rebuilt(path, {CARD: json.dumps(card), WEIGHTS: content}))


def test_the_card_is_read_without_the_weights(path):
    assert read_card(path).weights_sha256 == hashlib.sha256(members(path)[WEIGHTS]).hexdigest()


def test_nothing_in_a_package_is_a_pickle(path):
    content = members(path)
    assert set(content) == {CARD, WEIGHTS}
    json.loads(content[CARD])
    assert not content[WEIGHTS].startswith((*(bytes([0x80, n]) for n in range(2, 6)), b"PK"))


def test_an_unwritable_folder_is_said_and_leaves_nothing(tmp_path, model):
    with pytest.raises(EngineError):
        package.write(tmp_path / "no" / "model.rrl", model.state_dict(), make_card())
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "model.rrl").write_bytes(b"no zip at all")
    assert "no model package" in refusal(tmp_path / "model.rrl")


def test_a_cut_off_package(path):
    path.write_bytes(path.read_bytes()[:-1000])
    refusal(path)


def test_a_damaged_package(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize(
    "at, byte", [(6, 0x7F), (9, 0x08)]
)  # a version that zip does not have; a name in UTF-8, broken
def test_a_package_with_a_damaged_list_of_files(path, at, byte):
    content = bytearray(path.read_bytes())
    entry = content.rfind(b"PK\x01\x02")
    content[entry + at] |= byte
    content[entry + 46] |= 0x80
    path.write_bytes(content)
    refusal(path)


def test_weights_that_were_exchanged(path):
    content = members(path)
    content[WEIGHTS] = content[WEIGHTS][:-1] + bytes([content[WEIGHTS][-1] ^ 1])
    assert "differ" in refusal(rebuilt(path, content))


def test_a_newer_package_asks_for_an_update(path):
    with pytest.raises(EngineError) as caught:
        read_card(with_card(path, schema=SCHEMA + 1))
    assert "Update" in caught.value.action


@pytest.mark.parametrize("schema", [None, 0, "1"])
def test_a_wrong_schema(path, schema):
    assert "another version" in refusal(with_card(path, schema=schema))


@pytest.mark.parametrize("changes", [{"extra": 1}, {"seed": "0"}, {"structures": {}}, {"spacing_mm": True}])
def test_a_card_that_holds_something_else(path, changes):
    assert "card" in refusal(with_card(path, **changes))


def test_a_damaged_compressed_package(path):
    content = members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in content.items():
            file.writestr(name, part)
        start = file.getinfo(CARD).header_offset + 30 + len(CARD)
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 20] = b"\xff" * 20
    path.write_bytes(damaged)
    refusal(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_card_that_is_none(path, content):
    refusal(rebuilt(path, {**members(path), CARD: content}))


@pytest.mark.parametrize("name", ["../evil", "/evil", "..\\evil", "a/../../evil", "C:evil"])
def test_a_path_that_leaves_the_package(path, name):
    assert "outside" in refusal(rebuilt(path, {**members(path), name: b""}))


def test_more_files_than_a_model_has(path):
    assert "made of" in refusal(rebuilt(path, {**members(path), "code.py": b"print(1)"}))


def test_fewer_files_than_a_model_has(path):
    assert "made of" in refusal(rebuilt(path, {CARD: members(path)[CARD]}))


def test_a_package_that_unpacks_to_too_much(path, monkeypatch):
    monkeypatch.setattr("RRLMedSAMEngine.card.LARGEST", 1000)
    assert "larger" in refusal(path)


def test_an_unknown_layer(tmp_path, model):
    weights = {**model.state_dict(), "other": torch.zeros(2)}
    package.write(tmp_path / "model.rrl", weights, make_card())
    assert "layers" in refusal(tmp_path / "model.rrl")


def test_a_missing_layer(tmp_path, model):
    weights = model.state_dict()
    weights.pop("refined.prompt.bias")
    package.write(tmp_path / "model.rrl", weights, make_card())
    assert "layers" in refusal(tmp_path / "model.rrl")


def test_weights_that_are_not_numbers(tmp_path, model):
    weights = {**model.state_dict(), "refined.prompt.bias": torch.full((8,), float("nan"))}
    package.write(tmp_path / "model.rrl", weights, make_card())
    assert "numbers" in refusal(tmp_path / "model.rrl")


@pytest.mark.parametrize("sizes", [{}, {"channels": [1]}, {"channels": 5}, {**dataclasses.asdict(SMALL), "heads": 3}])
def test_sizes_that_make_no_model(tmp_path, model, sizes):
    package.write(tmp_path / "model.rrl", model.state_dict(), make_card(sizes=sizes))
    refusal(tmp_path / "model.rrl")


def atlas(kind=np.int16, label_kind=np.uint8):
    values = np.arange(60).reshape(3, 4, 5)
    return Volume(values.astype(kind), Geometry(np.eye(4), (3, 4, 5))), [
        Volume((values > 30).astype(label_kind), Geometry(np.eye(4), (3, 4, 5)))
    ]


def test_an_atlas_is_known_whatever_types_it_is_stored_in():
    assert package.fingerprint(*atlas()) == package.fingerprint(*atlas(np.float64, np.int32))


def test_an_atlas_is_known_wherever_it_lies_and_however_its_structures_are_numbered():
    image, labels = atlas()
    turned = np.array([[0, -1, 0, 7.0], [1, 0, 0, -3], [0, 0, 1, 20], [0, 0, 0, 1]])
    elsewhere = [
        Volume(v.array * factor, Geometry(turned @ v.geometry.voxel_to_lps, v.array.shape))
        for v, factor in ((image, 1), (labels[0], 9))
    ]
    assert package.fingerprint(image, labels) == package.fingerprint(elsewhere[0], elsewhere[1:])
    shifted = labels[0].geometry.voxel_to_lps.copy()
    shifted[0, 3] += 1
    beside = Volume(labels[0].array, Geometry(shifted, labels[0].array.shape))
    assert package.fingerprint(image, [beside]) != package.fingerprint(image, labels)


def test_another_atlas_is_known_as_another():
    image, labels = atlas()
    labels[0].array[0, 0, 0] = 1
    assert package.fingerprint(image, labels) != package.fingerprint(*atlas())


def test_the_automatic_model_is_the_one_of_this_atlas_where_it_measured_better(tmp_path, model, monkeypatch):
    image, labels = atlas()
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    assert models.load("auto", "fast", image, labels, print) is None
    package.write(
        tmp_path / "mine.rrl", model.state_dict(),
        make_card(
            atlas_fingerprint=package.fingerprint(image, labels),
            figures={"fast": measured(0.01), "balanced": measured(0.0005)},
        ),
    )  # fmt: skip
    for effort in ("balanced", "best"):  # no better there, and not measured
        assert models.load("auto", effort, image, labels, print) is None
    assert models.load("auto", "fast", image, labels, print)[1].name == "test"
    assert models.load("mine", "best", image, labels, pytest.fail)[1].name == "test"


def measured(*gains):
    return {f"set {n}": {"cases": 6, "dice": 0.8 + gain, "dice_instant": 0.8} for n, gain in enumerate(gains)}


def test_the_automatic_model_is_a_general_one_where_it_measured_better_everywhere(tmp_path, model, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    card = make_card(name="general", figures={"fast": measured(0.01, 0.003), "balanced": measured(0.01, -0.003)})
    package.write(tmp_path / "general.rrl", model.state_dict(), card)
    assert models.load("auto", "fast", *atlas(), pytest.fail)[1].name == "general"
    assert models.load("auto", "balanced", *atlas(), pytest.fail) is None
    card = make_card(atlas_fingerprint=package.fingerprint(*atlas()), figures={"fast": measured(0.005)})
    package.write(tmp_path / "mine.rrl", model.state_dict(), card)
    assert models.load("auto", "fast", *atlas(), pytest.fail)[1].name == "test"


def test_a_damaged_package_does_not_stop_the_automatic_choice(tmp_path, model, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    (tmp_path / "a.rrl").write_bytes(b"no zip at all")
    package.write(tmp_path / "general.rrl", model.state_dict(), make_card(figures={"fast": measured(0.01)}))
    told = []
    assert models.load("auto", "fast", *atlas(), told.append)[1].name == "test"
    assert len(told) == 1 and "cannot be read" in told[0]


def test_damaged_weights_leave_the_automatic_choice_to_the_next_model(tmp_path, model, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    own = make_card(atlas_fingerprint=package.fingerprint(*atlas()), figures={"fast": measured(0.01)})
    package.write(tmp_path / "own.rrl", model.state_dict(), own)
    content = bytearray((tmp_path / "own.rrl").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "own.rrl").write_bytes(content)
    told = []
    assert models.load("auto", "fast", *atlas(), told.append) is None and len(told) == 1
    package.write(tmp_path / "general.rrl", model.state_dict(), make_card(name="g", figures={"fast": measured(0.01)}))
    assert models.load("auto", "fast", *atlas(), told.append)[1].name == "g"


def test_another_atlas_than_the_models_is_a_warning(tmp_path, model):
    package.write(tmp_path / "model.rrl", model.state_dict(), make_card(atlas_fingerprint="0" * 64))
    told = []
    assert models.load(str(tmp_path / "model.rrl"), "fast", *atlas(), told.append) is not None
    assert len(told) == 1 and "another atlas" in told[0]


def test_a_model_that_does_not_exist(tmp_path):
    def load(path):
        return models.load(str(path), "fast", *atlas(), print)

    assert "no such model" in refusal(tmp_path / "none.rrl", load)


@pytest.mark.parametrize("path", models.shipped().values(), ids=models.shipped().keys())
def test_a_shipped_model_says_where_it_is_from_and_is_whole(path):
    _model, card = models.read(path)
    assert card.name == path.stem and card.summary and card.sources and card.terms and card.figures


def test_the_shipped_models_are_small_enough():
    assert sum(path.stat().st_size for path in models.shipped().values()) < 15_000_000


def test_the_shipped_brain_is_chosen_for_its_atlas_and_for_no_other():
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "oasis" / "atlas"
    if not folder.is_dir():
        pytest.skip("the data of ../shared are not here")
    image, labels = read_volume(folder / "1015_t1.nii.gz"), read_labels(folder / "1015_labels.nii.gz")
    assert models.load("auto", "fast", image, [labels], pytest.fail)[1].name == "brain-t1"
    other = labels.array.copy()
    other[other == other.max()] = 0
    assert models.load("auto", "fast", image, [Volume(other, labels.geometry)], pytest.fail) is None
