"""Why pip failed, in the user's words: from what it printed."""

from .errors import RunError
from .messages import _


def explained(output):
    """`RunError` not_installed for the output (text) of a pip, or bundle.py, that failed."""
    for patterns, text, action in _causes():
        if any(pattern in output for pattern in patterns):
            return RunError("not_installed", text, action)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for text, action in filter(None, map(_bundlesOwn, lines[-1:])):
        return RunError("not_installed", text, action)
    errors = [line for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or [_("no reason given")])[-1].removeprefix("ERROR:").strip().rstrip(".")
    return RunError(
        "not_installed",
        _("The packages could not be installed: {reason}.").format(reason=reason[:200]),
        _("See the log below."),
    )


def _causes():
    """(what pip prints, what is wrong, what to do), the more specific first."""
    return [
        (
            ("No space left on device", "[Errno 28]", "not enough space on the disk", "Disk quota exceeded"),
            _("There is too little space on the disk for the packages."),
            _("Free 3 GB, then click again."),
        ),
        (
            ("CERTIFICATE_VERIFY_FAILED", "SSLCertVerificationError", "self-signed certificate"),
            _("The network inspects encrypted connections, and its certificate is not known to Python."),
            _("Ask your IT department for the certificate's file and set PIP_CERT to it, or use an offline bundle."),
        ),
        (
            ("407 Proxy Authentication Required", "Tunnel connection failed: 407"),
            _("The network's proxy asks for a password."),
            _("Set HTTPS_PROXY to http://user:password@proxy:port before Slicer starts, or use an offline bundle."),
        ),
        (
            ("ProxyError", "Cannot connect to proxy", "Tunnel connection failed"),
            _("The network's proxy does not answer."),
            _("Check the variable HTTPS_PROXY, or use an offline bundle."),
        ),
        (
            (
                "NewConnectionError", "NameResolutionError", "ConnectTimeout", "ReadTimeout", "Connection refused",
                "ConnectionResetError", "RemoteDisconnected", "Network is unreachable", "getaddrinfo failed",
            ),  # fmt: skip
            _("The packages could not be downloaded: the network does not answer."),
            _("Connect to the internet and click again, or use an offline bundle."),
        ),
        (
            ("No matching distribution found", "Could not find a version that satisfies"),
            _("There is no build of a package for this computer and this version of Slicer."),
            _("Update Slicer; see the log below for the package."),
        ),
        (
            ("Permission denied", "[Errno 13]", "Access is denied"),
            _("Slicer's folder cannot be written to."),
            _("Install Slicer into a folder of your own, or start it once as administrator."),
        ),
    ]


def _bundlesOwn(line):
    """What is wrong and what to do, where the line is an error of `bundle`; else None."""
    if not line.startswith(("The bundle", "The folder is no bundle")):
        return None
    text, _separator, action = line.partition(". ")
    return f"{text}.", action
