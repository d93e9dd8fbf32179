"""Model packages ``NAME.rrl``: one zip of weights (safetensors, 8 bits) and a card (JSON). No pickle."""

import dataclasses
import hashlib
import json
import zipfile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from . import card as cards
from .card import CARD, WEIGHTS, Card, bad_model
from .compact import compacted, expanded
from .files import replacing
from .image import Volume


def fingerprint(atlas: Volume, labels: list[Volume]) -> str:
    """SHA-256 of an atlas's voxels and of its labels' borders.

    The same wherever the atlas lies in space, whatever types it is stored in and however its structures are numbered
    as long as their order is kept: Slicer numbers a segmentation's structures anew.
    """
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(atlas.geometry.spacing.round(4)).tobytes())
    digest.update(np.ascontiguousarray(atlas.array, np.float32))
    for layer in labels:
        to_layer = layer.geometry.lps_to_voxel @ atlas.geometry.voxel_to_lps
        digest.update(np.ascontiguousarray(to_layer.round(3) + 0.0).tobytes())
        values = np.union1d(np.unique(layer.array), [0])
        digest.update(np.searchsorted(values, layer.array).astype(np.int32))
    return digest.hexdigest()


def write(path, weights: dict[str, torch.Tensor], card: Card) -> Card:
    """Writes a package; returns the card as written. Raises `errors.WritingError`."""
    content = save(compacted(weights))
    card = dataclasses.replace(card, weights_sha256=hashlib.sha256(content).hexdigest())
    with replacing(path) as part, zipfile.ZipFile(part, "w") as package:
        package.writestr(CARD, json.dumps(dataclasses.asdict(card), indent=1))
        package.writestr(WEIGHTS, content)
    return card


def read(path) -> tuple[Card, dict[str, torch.Tensor]]:
    """Card and float32 weights of a package. Raises EngineError (bad_model)."""
    card = cards.read_card(path)
    content = cards.read_weights(path, card)
    try:
        weights = expanded(load(content))
    except (SafetensorError, ValueError) as error:
        raise bad_model("The model's weights cannot be read.") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise bad_model("The model's weights are not all numbers.")
    return card, weights


def load_into(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Raises EngineError (bad_model) where names or shapes are not the model's."""
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise bad_model("The model has other layers than this version knows.", "Update the extension.")
    model.load_state_dict(weights)
