"""What the worker runs on: the facts that tell the panel what is there, what is missing and what it can do."""

import importlib
import platform

from . import __version__, memory

MISSING = "missing"
PACKAGES = ("torch", "numpy", "safetensors", "scipy", "SimpleITK")


def facts() -> dict[str, str]:
    """Short texts by name; a package that cannot be imported has the text ``missing``."""
    found = {name: _version(name) for name in PACKAGES}
    return {
        "engine": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "memory_gb": f"{memory.free_gb():.1f}",
        **found,
        **(_device() if found["torch"] != MISSING else {}),
    }


def _version(package: str) -> str:
    try:
        return str(importlib.import_module(package).__version__)
    except (ImportError, OSError):  # OSError: a library that it needs does not load
        return MISSING


def _device() -> dict[str, str]:
    import torch

    from . import devices

    step = devices.ladder("auto")[0]
    if step.device.type == "cpu":
        return {"device": devices.describe(step.device)}
    free, _total = torch.cuda.mem_get_info()
    return {"device": devices.describe(step.device), "device_memory_gb": f"{free / memory.GB:.1f}"}
