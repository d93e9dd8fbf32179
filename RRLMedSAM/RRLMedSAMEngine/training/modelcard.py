"""The card of a model that was just trained."""

import dataclasses
import datetime

from .. import __version__
from ..card import Card
from . import cases


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


def adapted(name: str, trainer, record, found, *, seconds: int, teacher: str, structures: list, **facts) -> Card:
    """``trainer``, ``record``, ``found``: of the adaptation that is done. ``facts``: as `make` takes them."""
    scans, examples = (
        [path.name.removesuffix(cases.ENDING) for path in paths] for paths in (found.scans, found.examples)
    )
    labelled = f" and {len(examples)} more labelled" if examples else ""
    settings, base = record.settings, record.base
    training = {
        "scans": len(scans),
        "scans_skipped": found.skipped,
        "examples": len(examples),
        "scan_hashes": scans,
        "example_hashes": examples,
        "steps": trainer.steps,
        "seconds": seconds,
        "minutes_given": settings.minutes,
        "base": base.get("name", "none"),
        "teacher": teacher,
        **dataclasses.asdict(settings.trainer),
    }
    terms = "The user's own: see the terms of the scans."
    return make(
        name,
        trainer.model,
        f"Adapted to an atlas of {len(structures)} structures with {len(scans)} unlabelled scans{labelled}.",
        training,
        settings.seed,
        structures=structures,
        sources=["The user's own scans.", *base.get("sources", [])],
        terms=f"{terms} Of {base['name']}, which it began with: {base['terms']}" if base else terms,
        **facts,
    )
