"""The rows of the section 'Set-up': each part, whether it is in order, and its state in words."""

import re
from typing import NamedTuple

from RRLMedSAMEngine import __version__, protocol

from . import models
from .installation import OLDEST_TORCH
from .messages import _

MISSING, NONE = "missing", "none"  # as the worker's probe says it


class Row(NamedTuple):
    """``isMended``: whether 'Install what is missing' puts it right."""

    part: str
    state: str
    isRight: bool = True
    isMended: bool = False


def rows(facts, added):
    """``facts``: the worker's, or None before it was asked; ``added``: `installed.Added` by name."""
    found = [Row(_("Extension"), __version__)]
    if facts is not None:
        found.append(Row(_("Python"), f"{facts['python']}, {facts['system']}"))
        found += [_package(name, facts[name]) for name in protocol.PACKAGES]
        if facts.get("arrays") == MISSING:
            state = _(
                "does not work with this PyTorch. 'Install what is missing' gets an older one for the worker alone."
            )
            found.append(Row(_("NumPy {version}").format(version=facts["numpy"]), state, False, True))
        if "device" in facts:
            found.append(_device(facts))
        if "device_memory_gb" in facts:
            found.append(Row(_("GPU memory"), _("{size} GB free").format(size=facts["device_memory_gb"])))
        if "memory_gb" in facts:
            found.append(Row(_("Memory"), _("{size} GB free").format(size=facts["memory_gb"])))
    for name in models.shipped():
        problem = models.damage(name)
        found.append(Row(name, problem or _("model, checksum right"), problem is None))
    if not models.shipped():
        found.append(Row(_("Models"), _("none come with this version")))
    place = _("{version}, {size:.1f} MB in {folder}")
    for name, each in added.items():
        state = place.format(version=each.version, size=each.size / 1e6, folder=each.folder)
        found.append(Row(_("Added: {name}").format(name=name), state))
    return found


def verdict(found):
    """All that is wrong in the rows, and what to do, in sentences."""
    missing = [row.part for row in found if row.state == MISSING]
    texts = []
    if missing:
        texts.append(_("Missing: {names}. Click 'Install what is missing'.").format(names=", ".join(missing)))
    texts += [f"{row.part}: {row.state}" for row in found if not row.isRight and row.state != MISSING]
    return "\n".join(texts) or _("Everything is there.")


def needsOtherBuild(facts):
    """Whether PyTorch was built without CUDA on a computer with an NVIDIA graphics card."""
    return facts is not None and "graphics_card" in facts and facts.get("torch_cuda") == NONE


def _package(name, version):
    if version == MISSING:
        return Row(name, version, False, True)
    if name == "torch" and tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_TORCH:
        state = _("{version} is older than {oldest}. 'Install what is missing' puts a newer one in its place.")
        oldest = ".".join(map(str, OLDEST_TORCH))
        return Row(name, state.format(version=version, oldest=oldest), False, True)
    return Row(name, version)


def _device(facts):
    """The graphics card is not needed, but whoever has one waits longer without it."""
    if needsOtherBuild(facts):
        state = _(
            "{device}: this PyTorch cannot use the graphics card ({card}). 'Install what is missing' takes the build "
            "that can."
        )
    elif "graphics_card" in facts and "device_memory_gb" not in facts:
        state = _("{device}: PyTorch does not find the graphics card ({card}). Update the card's driver, then restart.")
    else:
        return Row(_("Device"), facts["device"])
    text = state.format(device=facts["device"], card=facts["graphics_card"])
    return Row(_("Device"), text, False, needsOtherBuild(facts))
