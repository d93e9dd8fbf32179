"""Why pip failed, in the user's words."""

from . import pipcauses
from .enginetexts import translated
from .errors import RunError
from .messages import _


def explained(output):
    """`RunError` not_installed for the output (text) of a pip, or bundle.py, that failed."""
    known = _bundlesOwn(output) or _texts().get(pipcauses.causeOf(output))
    if known is None:
        reason = pipcauses.lastError(output) or _("no reason given")
        known = _("The packages could not be installed: {reason}.").format(reason=reason), _("See the log below.")
    text, action = known
    return RunError("not_installed", text, action)


def _texts():
    """(what is wrong, what to do) by cause."""
    return {
        pipcauses.DISK_FULL: (
            _("There is too little space on the disk for the packages."),
            _("Free 3 GB, then click again."),
        ),
        pipcauses.CERTIFICATE: (
            _("The network inspects encrypted connections, and its certificate is not known to Python."),
            _("Ask your IT department for the certificate's file and set PIP_CERT to it, or use an offline bundle."),
        ),
        pipcauses.PROXY_PASSWORD: (
            _("The network's proxy asks for a password."),
            _("Set HTTPS_PROXY to http://user:password@proxy:port before Slicer starts, or use an offline bundle."),
        ),
        pipcauses.PROXY: (
            _("The network's proxy does not answer."),
            _("Check the variable HTTPS_PROXY, or use an offline bundle."),
        ),
        pipcauses.NETWORK: (
            _("The packages could not be downloaded: the network does not answer."),
            _("Connect to the internet and click again, or use an offline bundle."),
        ),
        pipcauses.NO_BUILD: (
            _("There is no build of a package for this computer and this version of Slicer."),
            _("Update Slicer; see the log below for the package."),
        ),
        pipcauses.LONG_PATH: (
            _("The path of Slicer's folder is too long for a package's files."),
            _("Install Slicer into a folder with a shorter path, or have long paths enabled in Windows."),
        ),
        pipcauses.IN_USE: (
            _("Another program uses the packages."),
            _("Restart Slicer, close its other windows, then click again."),
        ),
        pipcauses.NO_RIGHTS: (
            _("Slicer's folder cannot be written to."),
            _("Install Slicer into a folder of your own, or start it once as administrator."),
        ),
    }


def _bundlesOwn(output):
    """(what is wrong, what to do), where the last line is an error of `bundle`; else None."""
    line = (output.strip().splitlines() or [""])[-1].strip()
    if not line.startswith(("The bundle", "The folder is no bundle")):
        return None
    text, _separator, action = line.partition(". ")
    return translated(f"{text}."), translated(action)
