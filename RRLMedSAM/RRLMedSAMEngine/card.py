"""What is known of a model: the card beside its weights. Standard library only, so that the panel reads it too."""

import dataclasses
import hashlib
import json
import typing
import zipfile
import zlib
from pathlib import PurePosixPath

from .errors import EngineError

SCHEMA = 3  # 1: weights in half precision; 2: coarse masks at half the resolution
CARD, WEIGHTS = "card.json", "weights.safetensors"
# RuntimeError: an encrypted member; NotImplementedError: an unknown compression
DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError)
LARGEST = 200 << 20  # bytes of a package's files together: a model has 8 MB


@dataclasses.dataclass(frozen=True)
class Card:
    """``sizes``: the networks'. ``atlas_fingerprint``: of the atlas it was adapted to, "" for a general model.
    ``structures``: the atlas's, each with ``label`` and ``name``. ``intensity``: ``MR``, ``CT`` or ``any``.
    ``spacing_mm``: of the grid it works on, 0 for the atlas's own. ``training``: settings, counts and hashes of the
    data, never names. ``weights_sha256``: of the file with the weights.
    """

    name: str
    summary: str
    sizes: dict
    atlas_fingerprint: str
    structures: list
    intensity: str
    spacing_mm: float
    training: dict
    seed: int
    date: str
    figures: dict
    sources: list
    terms: str
    weights_sha256: str = ""
    schema: int = SCHEMA


def bad_model(text: str, action: str = "Choose another model, or get the file again.") -> EngineError:
    return EngineError("bad_model", text, action)


def read_card(path) -> Card:
    """The card of a model package. Raises EngineError (bad_model)."""
    with opened(path) as package:
        return _parsed(package.read(CARD))


def read_weights(path, card: Card) -> bytes:
    """The file with the weights, which has the card's SHA-256. Raises EngineError (bad_model)."""
    with opened(path) as package:
        content = package.read(WEIGHTS)
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        raise bad_model("The model's weights differ from what its card says: the file is damaged or was changed.")
    return content


class opened:
    """A package's checked zip file, for a with statement. Raises EngineError (bad_model)."""

    def __init__(self, path):
        try:
            self._zip = zipfile.ZipFile(path)
        except (*DAMAGE, ValueError) as error:  # ValueError: names that are no text
            raise bad_model("The model cannot be read: it is no model package, or it is damaged.") from error

    def __enter__(self) -> zipfile.ZipFile:
        try:
            _check_members(self._zip.infolist())
        except EngineError:
            self._zip.close()
            raise
        return self._zip

    def __exit__(self, kind, error, _trace):
        self._zip.close()
        if kind is not None and issubclass(kind, DAMAGE):
            raise bad_model("The model package is damaged.") from error


def _check_members(members):
    names = [member.filename for member in members]
    for name in names:
        if "\\" in name or ":" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise bad_model("The model package holds a file that would lie outside it.", "Do not use it.")
    if sorted(names) != sorted((CARD, WEIGHTS)):
        raise bad_model("The model package does not hold what a model is made of.")
    if sum(member.file_size for member in members) > LARGEST:
        raise bad_model("The model package is larger than any model.", "Do not use it.")


def _parsed(content: bytes) -> Card:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise bad_model("The model's card cannot be read.") from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        action = "Update the extension." if newer else "Choose another model."
        raise bad_model("The model was made by another version of the extension.", action)
    kinds = {name: typing.get_origin(kind) or kind for name, kind in typing.get_type_hints(Card).items()}
    if set(values) != set(kinds):
        raise bad_model("The model's card is not complete.")
    for name, kind in kinds.items():
        value = values[name]
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise bad_model("The model's card holds something else than it should.")
    return Card(**values)
