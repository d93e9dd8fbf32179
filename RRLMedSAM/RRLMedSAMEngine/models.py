"""The models there are: shipped ones by name, a user's own by path."""

import dataclasses
from pathlib import Path

from . import package
from .card import Card, bad_model, read_card
from .errors import EngineError
from .networks.model import Model
from .networks.sizes import Sizes

AUTOMATIC, INSTANT = "auto", "instant"  # instant: registration alone, without weights
ANY_ATLAS = ""  # the fingerprint in a general model's card
FOLDER = Path(__file__).parents[1] / "Resources" / "Models"
ENDING = ".rrl"
WORTH = 0.002  # Dice by which a model must have measured better than the instant form to be chosen for an effort
LARGEST_SIZE = 1024  # channels or widths: a card cannot ask for any amount of memory


def shipped() -> dict[str, Path]:
    """The shipped packages by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*" + ENDING))}


def find(name: str) -> Path:
    """The package with a shipped name, or at a path."""
    return shipped().get(name, Path(name))


def load(name: str, effort: str, atlas, atlas_labels, warn) -> tuple[Model, Card] | None:
    """A model in evaluation mode and its card; None for ``instant``, and for ``auto`` where no shipped one fits.

    ``name``: ``auto``, ``instant``, a shipped name or a path. ``auto`` takes the shipped model that was adapted to
    this atlas (Volume, list of Volume), else a general one, if it has measured better than the instant form at this
    ``effort`` on each data set it was measured on. Raises EngineError bad_model.
    """
    if name == INSTANT:
        return None
    if name == AUTOMATIC:
        return _fitting(effort, atlas, atlas_labels, warn)
    model, card = read(find(name))
    if card.atlas_fingerprint and card.atlas_fingerprint != package.fingerprint(atlas, atlas_labels):
        warn("The model was adapted to another atlas; it is used as a general one. Compare with the model instant.")
    return model, card


def modified(name: str) -> float | None:
    """When the package with this name was written, as a time stamp; None where there is no file of its own."""
    path = find(name)
    return path.stat().st_mtime if path.is_file() else None


def read(path: Path) -> tuple[Model, Card]:
    """Raises EngineError bad_model."""
    if not path.is_file():
        raise bad_model("There is no such model.", "Choose a shipped model's name or a package (.rrl).")
    card, weights = package.read(path)
    model = Model(_checked_sizes(card.sizes))
    package.load_into(model, weights)
    return model.eval(), card


def _checked_sizes(values: dict) -> Sizes:
    """Those of a card, which may say anything."""
    fields = {field.name for field in dataclasses.fields(Sizes)}
    numbers = [v for name, v in values.items() if name not in ("channels", "prompted")]
    channels = values.get("channels")
    if (
        set(values) != fields
        or not isinstance(channels, list)
        or len(channels) != len(Sizes.channels)
        or not all(type(n) is int and 1 <= n <= LARGEST_SIZE for n in [*numbers, *channels])
        or values["token"] % values["heads"]
    ):
        raise bad_model("The model has other sizes than this version knows.", "Update the extension.")
    return Sizes(**{**values, "channels": tuple(channels)})


def _fitting(effort, atlas, atlas_labels, warn) -> tuple[Model, Card] | None:
    """The shipped model that is for this atlas, or for all, and is worth its time at this effort; none that cannot be
    read."""

    def read_or_warn(read_it, path):
        try:
            return read_it(path)
        except EngineError:
            warn("A model of the extension cannot be read, and is not used: see the section Set-up.")
            return None

    cards = {path: read_or_warn(read_card, path) for path in shipped().values()}
    known = {card.atlas_fingerprint: path for path, card in cards.items() if card and _gain(card, effort) >= WORTH}
    fitting = [known[key] for key in (package.fingerprint(atlas, atlas_labels), ANY_ATLAS) if key in known]
    return next(filter(None, (read_or_warn(read, path) for path in fitting)), None)


def _gain(card, effort) -> float:
    """Mean Dice above the instant form's on the data set where that is least, as the card of a shipped model has it; 0
    where nothing was measured."""
    measured = card.figures.get(effort, {}).values()
    return min((figures["dice"] - figures["dice_instant"] for figures in measured), default=0.0)
