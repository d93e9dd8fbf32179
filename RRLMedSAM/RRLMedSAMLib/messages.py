"""What the user reads about a run: its stages, and how it can end without a result."""

from .errors import RunError

try:
    from slicer.i18n import tr as _
except ImportError:  # slicer-core alone, without the application

    def _(text):
        return text


KILLED = (-9, 137)  # exit codes of a process that got SIGKILL: its own, and as a shell passes it on
# In the last line of Slicer's launcher, whose exit code is then 1, whatever signal or crash has ended the worker.
LAUNCHERS_WORDS = "exit abnormally"


def stageText(stage):
    """A stage of the run, the logic's own or the worker's, in words."""
    texts = {
        "prepare": _("Preparing the images"),
        "start": _("Starting the computation"),
        "read": _("Reading the images"),
        "align": _("Aligning the atlas"),
        "deform": _("Deforming the atlas"),
        "transfer": _("Transferring the segments"),
        "network": _("Refining with the model"),
        "train": _("Training"),
        "write": _("Writing the result"),
        "show": _("Adding the result to the scene"),
        "cancel": _("Stopping"),
    }
    return texts.get(stage, stage)


def timeText(seconds):
    """A duration, rounded as it deserves."""
    seconds = round(seconds)
    if seconds < 60:
        return _("{seconds} s").format(seconds=seconds)
    return _("{minutes} min {seconds} s").format(minutes=seconds // 60, seconds=seconds % 60)


def processFailure(broken, silence):
    """The user's error for a `workerprocess.Broken`; ``silence`` in seconds."""
    texts = {
        "cannot_start": (
            _("The computation could not be started (exit code {code})."),
            _("See the log below; reinstalling the extension may help."),
        ),
        "died": (
            _("The computation ended unexpectedly (exit code {code})."),
            _("Click again; if it persists, please report it with the log below."),
        ),
        "killed_by_system": (
            _("The computation was ended by the system, most likely for lack of memory."),
            _("Close other programs, crop the volumes or choose the effort Fast, then click again."),
        ),
        "crashed": (
            _("The computation crashed, or was ended by the system, perhaps for lack of memory."),
            _("Close other programs or crop the volumes; if it persists, please report it with the log below."),
        ),
        "garbage": (
            _("The computation answers in a way that is not understood."),
            _("Click again; if it persists, reinstall the extension."),
        ),
        "hanging": (
            _("The computation did not answer for {silence} seconds and was ended."),
            _("Click again; if it persists, choose the device CPU."),
        ),
        "killed": (_("The computation was ended."), _("Click again to start it anew.")),
    }
    kind = broken.kind
    if kind in ("died", "cannot_start"):
        if broken.exitCode in KILLED:
            kind = "killed_by_system"
        elif LAUNCHERS_WORDS in broken.lastLine:
            kind = "crashed"
    text, action = texts[kind]
    return RunError(broken.kind, text.format(code=broken.exitCode, silence=round(silence)), action)


def cannotStart(error):
    """For an OSError of the attempt to start the worker."""
    return RunError(
        "cannot_start",
        _("The computation could not be started: {reason}.").format(reason=error.strerror),
        _("Reinstalling Slicer's Python environment may help."),
    )


def diskFull():
    return RunError(
        "disk_full",
        _("The disk for temporary files is full."),
        _("Free some space there, or choose another temporary folder in Slicer's settings, then click again."),
    )


def cancelled():
    return RunError("cancelled", _("Cancelled."))


def inputMissing(role):
    return RunError(
        "input_missing",
        _("The {role} is no longer in the scene, so the run was stopped.").format(role=role),
        _("Nothing was added. Choose another node, then click again."),
    )


def targetChanged():
    return RunError(
        "target_changed",
        _("The target volume was changed during the run, so the result would not fit it."),
        _("Click again to segment it as it is now."),
    )


def unexpected(error):
    return RunError(
        "internal",
        _("An unexpected error ended the run ({kind}).").format(kind=type(error).__name__),
        _("Please report it with the log below."),
    )
