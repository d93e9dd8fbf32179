"""A training's state on the disk: whole, or the one before."""

import pickle
import shutil
from pathlib import Path

import torch

from ..errors import bad_input
from ..image import writing_error

NAME = "checkpoint.pt"


def save(folder: Path, state: dict) -> None:
    """Raises EngineError disk_full or bad_input; the checkpoint before is kept then."""
    temporary = folder / (NAME + ".part")
    try:
        torch.save(state, temporary)
        temporary.replace(folder / NAME)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's writer, for a full disk too
        temporary.unlink(missing_ok=True)
        raise writing_error(error, folder) from error


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
    """The folder with all that was kept for going on."""
    shutil.rmtree(folder)
