"""What the worker runs on: the facts that tell the panel what is there, what is missing and what it can do."""

import importlib
import math
import platform
import subprocess

from . import __version__, memory, protocol

MISSING, NONE = "missing", "none"
DRIVERS_SECONDS = 10  # a driver that hangs must not hold the probe up


def facts() -> dict[str, str]:
    """Short texts by name; a package that cannot be imported has the text ``missing``.

    ``memory_gb``: free, absent where the system does not tell. ``graphics_card``: NVIDIA's, by its driver's tool,
    which needs no PyTorch; absent where there is none.
    ``torch_cuda``: the version that PyTorch was built with, or ``none``. ``arrays``: ``missing`` where it cannot
    exchange arrays with this NumPy.
    """
    found = {name: _version(name) for name in protocol.PACKAGES}
    return {
        "engine": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **_memory(),
        **found,
        **_graphics_card(),
        **(_device() if found["torch"] != MISSING else {}),
    }


def _version(package: str) -> str:
    try:
        return str(importlib.import_module(package).__version__)
    except Exception:  # a library that it needs does not load, or an empty folder is left of it
        return MISSING


def exchanges_arrays() -> bool:
    """Whether PyTorch, which must be there, and NumPy work together: a PyTorch built for NumPy 1 does not with 2."""
    import torch

    try:
        torch.zeros(1).numpy()
    except RuntimeError:
        return False
    return True


def _memory() -> dict[str, str]:
    free = memory.free_gb()
    return {} if math.isinf(free) else {"memory_gb": f"{free:.1f}"}


def _graphics_card() -> dict[str, str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=DRIVERS_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {"graphics_card": told.stdout.splitlines()[0]} if told.returncode == 0 and told.stdout.strip() else {}


def _device() -> dict[str, str]:
    import torch

    from . import devices

    step = devices.ladder("auto")[0]
    told = {"device": devices.describe(step.device), "torch_cuda": torch.version.cuda or NONE}
    if not exchanges_arrays():
        told["arrays"] = MISSING
    if step.device.type == "cpu":
        return told
    try:
        free, _total = torch.cuda.mem_get_info()
    except RuntimeError:  # other programs have all of it
        free = 0
    return {**told, "device_memory_gb": f"{free / memory.GB:.1f}"}
