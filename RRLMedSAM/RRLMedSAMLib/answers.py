"""What the worker's answers have to hold, beyond the types that the protocol checks, for the panel to rely on them."""

import os

import numpy as np
from RRLMedSAMEngine import protocol

LARGEST = 1e30  # as in the protocol; JSON knows larger numbers, and some that are none


def isSound(answer):
    """Whether all that the panel will look for in the answer is there."""
    if isinstance(answer, protocol.Probed):
        return _fits(answer.facts, FACTS) and all(map(_isText, answer.facts.values()))
    if isinstance(answer, protocol.Segmented):
        fields = [answer.forward, answer.inverse]
        maps = [answer.affine, *(field.voxel_to_lps for field in fields)]
        files = _arePlain([*answer.labels, answer.confidence, *fields])
        return files and all(map(_isInvertible, maps)) and _fits(answer.report, REPORT)
    if isinstance(answer, protocol.Refined):
        return _arePlain([*answer.labels, answer.confidence]) and _fits(answer.report, REFINED)
    if isinstance(answer, protocol.Written):
        named = {**REPORT, "structures": [{**STRUCTURE, "name": _isText}]}
        return os.path.isabs(answer.output) and _fits(answer.report, named)
    return True


def _arePlain(files):
    """Whether the files lie right in the exchange folder."""
    return all(os.path.basename(each.file) == each.file for each in files)


def _fits(value, pattern):
    """``pattern``: a test, a list with the pattern of all items, or a dictionary with those of some items."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_fits(value.get(key), part) for key, part in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(_fits(each, pattern[0]) for each in value)
    return pattern(value)


def _isText(value):
    return isinstance(value, str)


def _isNumber(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


def _isLabel(value):
    return isinstance(value, int) and _isNumber(value)


def _isNumberOrNone(value):
    return value is None or _isNumber(value)


def _isPlaceOrNone(value):
    return value is None or (_fits(value, [_isNumber]) and len(value) == 3)


def _areSeconds(value):
    return isinstance(value, dict) and all(map(_isNumber, value.values()))


def _isInvertible(matrix):
    return bool(abs(np.linalg.det(np.array(matrix)[:3, :3])) > 1e-9) and matrix[3] == (0.0, 0.0, 0.0, 1.0)


FACTS = dict.fromkeys(("python", "system", *protocol.PACKAGES), _isText)
STRUCTURE = {
    "label": _isLabel,
    "volume_ml": _isNumber,
    "confidence": _isNumberOrNone,
    "reasons": [_isText],
    "check_at_lps": _isPlaceOrNone,
}
REFINED = {"device": _isText, "seconds": _areSeconds, "structures": [STRUCTURE]}
REPORT = {
    **REFINED,
    "version": _isText,
    "model": _isText,
    "settings": dict.fromkeys(("effort", "device", "model"), _isText),
    "folding_percent": _isNumber,
    "inverse_consistency_mm": {"mean": _isNumber},
    "warnings": [_isText],
}
