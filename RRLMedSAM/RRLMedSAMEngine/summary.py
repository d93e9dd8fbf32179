"""The table of all targets' structures, ``structures.csv``: one line for each structure of each target."""

import csv
import os
from pathlib import Path

from . import ownership
from .errors import EngineError
from .files import patiently, writing_error

FILE = "structures.csv"
ENCODING = "utf-8-sig"  # with the mark by which Excel knows it
UNREADABLE = "surrogateescape"  # a target's name is any bytes on Linux
COLUMNS = ("target", "structure", "label", "volume_ml", "confidence_percent", "look_at")


def add(path: Path, target: str, report: dict) -> None:
    """Adds a target's structures; lines of an earlier run on it are replaced, others stay. Raises EngineError.

    Several processes may do so at once.
    """
    found = [
        (target, row["name"], row["label"], row["volume_ml"], row["confidence"], "; ".join(row["reasons"]))
        for row in report["structures"]
    ]
    part = path.with_name(f".{path.name}.part")
    try:
        with ownership.alone(path.with_name(f".{path.name}.lock")):
            rows = [row for row in _read(path) if row and row[0] != target]
            try:
                with open(part, "w", newline="", encoding=ENCODING, errors=UNREADABLE) as file:
                    csv.writer(file).writerows([COLUMNS, *rows, *found])
                patiently(os.replace, part, path)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise writing_error(error) from error


def _read(path: Path) -> list[list[str]]:
    """The lines below the heading; none where there is no table of ours."""
    try:
        with open(path, newline="", encoding=ENCODING, errors=UNREADABLE) as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return []
    except csv.Error:
        rows = []
    if not rows or tuple(rows[0]) != COLUMNS:
        raise EngineError(
            "exists", f"There is another file {FILE} in the output folder.", "Move it, or choose another folder."
        )
    return rows[1:]
