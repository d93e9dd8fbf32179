"""Why pip failed, from what it printed. Standard library only: `run.py` tells the same causes in its own words."""

DISK_FULL, CERTIFICATE, PROXY_PASSWORD, PROXY, NETWORK, NO_BUILD, LONG_PATH, IN_USE, NO_RIGHTS = (
    "disk_full", "certificate", "proxy_password", "proxy", "network", "no_build", "long_path", "in_use", "no_rights",
)  # fmt: skip
PRINTED = {  # the more specific first: a proxy's failure is one of the network, too
    DISK_FULL: ("No space left on device", "[Errno 28]", "not enough space on the disk", "Disk quota exceeded"),
    CERTIFICATE: ("CERTIFICATE_VERIFY_FAILED", "SSLCertVerificationError", "self-signed certificate"),
    PROXY_PASSWORD: ("407 Proxy Authentication Required", "Tunnel connection failed: 407"),
    PROXY: ("ProxyError", "Cannot connect to proxy", "Tunnel connection failed"),
    NETWORK: (
        "NewConnectionError", "NameResolutionError", "ConnectTimeout", "ReadTimeout", "Connection refused", "SSLError",
        "ConnectionResetError", "RemoteDisconnected", "Network is unreachable", "getaddrinfo failed",
    ),
    NO_BUILD: ("No matching distribution found", "Could not find a version that satisfies"),
    LONG_PATH: ("[WinError 206]", "Windows Long Path"),
    # pip gives what it removes a name with a tilde, and Windows does not remove a library that a program has loaded.
    IN_USE: ("[WinError 32]", "being used by another process", "\\~"),
    NO_RIGHTS: (
        "Permission denied", "[Errno 13]", "Access is denied", "[WinError 5]", "[Errno 30]", "Read-only file system",
    ),
}  # fmt: skip


def causeOf(output):
    """The first of the causes above that the output (text) shows, or None."""
    return next((cause for cause, texts in PRINTED.items() if any(text in output for text in texts)), None)


def lastError(output):
    """What pip says itself: its last error, else its last line, without a full stop; "" where it printed nothing."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [""])[-1].removeprefix("ERROR:").strip().rstrip(".")[:200]
