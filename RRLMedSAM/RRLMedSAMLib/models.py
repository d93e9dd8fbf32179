"""What can be chosen as model, and what is known of it: packages' cards, and whether their weights are whole."""

import dataclasses
import os
from pathlib import PureWindowsPath

from RRLMedSAMEngine.card import Card, read_card, read_weights
from RRLMedSAMEngine.errors import EngineError

from .enginetexts import translated
from .messages import _

AUTOMATIC, INSTANT = "auto", "instant"  # the engine's words
FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "Models")
ENDING = ".rrl"


@dataclasses.dataclass(frozen=True)
class Choice:
    """``hint``: what it is, in a sentence. ``card``: of a package that can be read.

    ``problem``: why it cannot be used, or None; ``hint`` says the same then.
    """

    hint: str
    card: Card | None = None
    problem: str | None = None


def shipped():
    """The names of the shipped packages."""
    files = os.listdir(FOLDER) if os.path.isdir(FOLDER) else []
    return sorted(name[: -len(ENDING)] for name in files if name.endswith(ENDING))


def label(value):
    """What a value of the parameter ``model`` is called in a list."""
    names = {AUTOMATIC: _("Automatic"), INSTANT: _("Instant (no training)")}
    # A path may come with a scene from another system: this class splits at either kind of slash.
    return names.get(value) or PureWindowsPath(value).name.removesuffix(ENDING)


def choice(value):
    """The `Choice` that a value of the parameter ``model`` stands for."""
    hints = {
        AUTOMATIC: _("The shipped model for exactly this atlas, or for all, where it measured better; else instant."),
        INSTANT: _("Registration alone: needs no model."),
    }
    if value in hints:
        return Choice(hints[value])
    path = _path(value)
    if not os.path.isfile(path):
        text = _("The model {name} cannot be found. Choose another one, or put its file back.")
        return _unusable(text.format(name=label(value)))
    try:
        card = read_card(path)
    except EngineError as error:
        return _unusable(_told(error))
    return Choice(card.summary, card)


def damage(value):
    """What is wrong with a package, its weights included, or None. Takes as long as reading the file (8 MB) does."""
    found = choice(value)
    if found.card is None:
        return found.problem
    try:
        read_weights(_path(value), found.card)
    except EngineError as error:
        return _told(error)
    return None


def isPackage(value):
    """Whether the value is a path of the user's, not a name."""
    return os.path.isabs(value)


def _path(value):
    return value if isPackage(value) else os.path.join(FOLDER, value + ENDING)


def _told(error):
    return f"{translated(error.text)} {translated(error.action)}"


def _unusable(problem):
    return Choice(problem, problem=problem)


def cardText(card):
    """The card, one fact a line; a fact that it does not have is left out."""
    training = card.training
    trained = None
    if "scans" in training and isinstance(training.get("seconds"), (int, float)):
        trained = _("{scans} scans in {minutes:.0f} min").format(
            scans=training["scans"], minutes=training["seconds"] / 60
        )
    facts = [
        (_("Made on"), card.date),
        (_("Trained on"), trained),
        (_("Structures"), len(card.structures)),
        (_("Intensities"), card.intensity),
        (_("Figures"), _inWords(card.figures)),
        (_("Sources"), _inWords(card.sources)),
        (_("Terms"), card.terms),
    ]
    lines = [card.name, card.summary, *(f"{name}: {value}" for name, value in facts if value)]
    return "\n".join(line for line in lines if line)


def _inWords(value):
    """What JSON holds, which may be anything, as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_inWords(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(_inWords, value))
    return str(value)
