"""A training's state on the disk: whole, or the one before."""

import pickle
import shutil
from pathlib import Path

import torch

from ..errors import bad_input
from ..files import replacing

NAME = "checkpoint.pt"


def save(folder: Path, state: dict) -> None:
    """Raises `errors.WritingError`; the checkpoint before is kept then."""
    with replacing(folder / NAME) as part:
        torch.save(state, part)


def load(folder: Path) -> dict | None:
    """None where there is none yet. Raises EngineError (bad_input) where it is damaged."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise bad_input("The unfinished adaptation is damaged.", "Delete its folder and begin anew.") from error


def remove(folder: Path) -> None:
    """The folder with all that was kept for going on; what another program holds open stays."""
    shutil.rmtree(folder, ignore_errors=True)
