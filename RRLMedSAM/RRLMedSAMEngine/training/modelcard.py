"""The card of a model that was just trained."""

import dataclasses
import datetime

from .. import __version__
from ..card import Card


def make(name: str, model, summary: str, training: dict, seed: int, **facts) -> Card:
    """``model``: its sizes are noted. ``facts``: fields of `Card`; left out, they are those of a general model."""
    return Card(
        **{
            "name": name,
            "summary": summary,
            "sizes": {**dataclasses.asdict(model.sizes), "channels": list(model.sizes.channels)},
            "atlas_fingerprint": "",
            "structures": [],
            "intensity": "any",
            "spacing_mm": 0.0,
            "training": {**training, "engine": __version__},
            "seed": seed,
            "date": datetime.date.today().isoformat(),
            "figures": {},
            **facts,
        }
    )
