"""What an unfinished adaptation is of, in its folder: it goes on with the same atlas and settings, or not at all."""

import dataclasses
import json
from pathlib import Path

from ..errors import EngineError, bad_input
from ..files import replacing
from . import cases
from .prepare import Found
from .settings import Settings

NAME = "record.json"


@dataclasses.dataclass
class Record:
    """``atlas``: its fingerprint and the shape (k, j, i) of its frame. ``base``: name, sources and terms of the model
    begun with; empty without one. ``spent``: seconds of preparation. ``found``: names of the cases' files, once all are
    prepared. ``examples``: how many were given until then.
    """

    folder: Path
    settings: Settings
    atlas: list
    base: dict
    spent: float = 0.0
    found: dict | None = None
    examples: int = 0

    def save(self) -> None:
        """Raises `errors.WritingError`."""
        values = dataclasses.asdict(self)
        del values["folder"]
        with replacing(self.folder / NAME) as part:
            part.write_text(json.dumps(values, indent=1), encoding="utf-8")

    def keep(self, found: Found) -> None:
        """Notes the prepared cases, so that the training always goes on with the same ones."""
        self.found = {
            "scans": [path.name for path in found.scans],
            "examples": [path.name for path in found.examples],
            "skipped": found.skipped,
        }
        self.save()

    def kept(self) -> Found | None:
        """What was noted, if the files are still there."""
        if self.found is None:
            return None
        scans, examples = ([self.folder / name for name in self.found[kind]] for kind in ("scans", "examples"))
        return Found(scans, examples, self.found["skipped"]) if all(map(cases.is_whole, scans + examples)) else None


def load(folder: Path, atlas: list) -> Record:
    """Raises EngineError where it is damaged or of another atlas."""
    try:
        values = json.loads((folder / NAME).read_text(encoding="utf-8"))
        known = Record(folder, **{**values, "settings": Settings.restored(values["settings"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise bad_input("The unfinished adaptation is damaged.", "Delete its folder and begin anew.") from error
    if known.atlas != atlas:
        raise EngineError("exists", "The unfinished adaptation there is of another atlas.", "Choose another name.")
    return known
