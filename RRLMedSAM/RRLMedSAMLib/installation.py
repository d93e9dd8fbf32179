"""Installs what the worker needs into Slicer's Python: on a click, after a question, never at load time."""

import os

import slicer
import slicer.util

from .errors import RunError
from .messages import _

TORCH_REQUIREMENT = ">=2.2"  # the last one for Slicer on macOS
REQUIREMENTS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "requirements.txt")


def offer():
    """Asks and installs PyTorch and the other packages. Returns whether the user agreed.

    Raises `RunError` where it cannot be installed from here. Blocks while it installs.
    """
    installTorch = _torchInstaller()
    question = _(
        "RRLMedSAM needs PyTorch, which is not installed yet. It will be downloaded (200 MB; up to 3 GB with an "
        "NVIDIA graphics card) and installed into Slicer's own Python. Slicer does not respond meanwhile. Install it?"
    )
    if not slicer.util.confirmOkCancelDisplay(question):
        return False
    try:
        _installRequirements()
        installTorch()
    except Exception as error:  # pip's, the network's and the extension's errors have no common class
        raise RunError(
            "not_installed",
            _("PyTorch could not be installed ({kind}).").format(kind=type(error).__name__),
            _("Check the network, see Slicer's Python console, or install it with the PyTorch Utils module."),
        ) from error
    return True


def _torchInstaller():
    try:
        import PyTorchUtils  # a module of the PyTorch extension, known only when that is installed
    except ImportError as error:
        raise RunError(
            "no_torch",
            _("PyTorch is not installed, and neither is the PyTorch extension that installs it."),
            _("Install the extension 'PyTorch' with the Extensions Manager, restart Slicer and click again."),
        ) from error
    if slicer.app.testingEnabled():
        raise RunError(
            "no_torch", _("PyTorch is not installed."), _("Install it before testing: tests change no installation.")
        )
    return lambda: PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=TORCH_REQUIREMENT)


def _installRequirements():
    try:
        from slicer import packaging  # Slicer 5.12
    except ImportError:
        slicer.util.pip_install(["-r", REQUIREMENTS])
    else:
        # The user has agreed already.
        packaging.pip_ensure(packaging.load_requirements(REQUIREMENTS), prompt_install=False, requester="RRLMedSAM")
