"""What the worklist's table says of an entry."""

from .messages import _, stageText, timeText
from .review import isDoubtful, rankedStructures

DONE, DOUBTFUL = "\u2713", "\u26a0"  # a tick and a warning sign: told without colours
MOST_NAMES = 3  # told of targets of which the same is said


def namedStructures(entry):
    """(name, its part of the report) of each structure of a finished entry, the least sure first."""
    if entry.segmentation is not None:
        segments = entry.segmentation.GetSegmentation()
        ranked = rankedStructures(entry.segmentation, entry.report)
        return [(segments.GetSegment(row["segment"]).GetName(), row) for row in ranked if row["volume_ml"] is not None]
    return [(row["name"], row) for row in entry.report["structures"]]


def stateText(entry):
    if entry.state == "running" and entry.task is not None:
        text = f"{round(100 * entry.task.fraction)} %"
        if entry.task.secondsLeft is not None:
            return _("{percent}, {time} left").format(percent=text, time=timeText(entry.task.secondsLeft))
        return f"{text}, {stageText(entry.task.stage)}"
    texts = {
        "new": "",
        "waiting": _("waiting"),
        "running": _("starting"),
        "failed": _("failed"),
        "cancelled": _("cancelled"),
    }
    return texts[entry.state] if entry.state in texts else timeText(entry.seconds)


def qualityText(entry):
    """How many structures are doubtful, with a sign that needs no colour; "" before there is a result."""
    if entry.report is None:
        return ""
    doubtful = sum(isDoubtful(row) for row in entry.report["structures"])
    return f"{DOUBTFUL} {doubtful}" if doubtful else DONE


def endText(entries):
    """How many entries ended how, and a line for each reason why some failed, with the first of their names."""
    states = [entry.state for entry in entries]
    counts = {state: states.count(state) for state in ("finished", "failed", "cancelled")}
    texts = [_("{finished} finished, {failed} failed, {cancelled} cancelled.").format(**counts)]
    namesOf = {}
    for entry in entries:
        if entry.state == "failed":
            namesOf.setdefault(str(entry.error), []).append(entry.name)
    for reason, names in namesOf.items():
        texts.append(f"{_names(names)}: {reason}")
    return "\n".join(texts)


def _names(names):
    """The first of them, and how many more there are."""
    shown, count = ", ".join(names[:MOST_NAMES]), len(names) - MOST_NAMES
    return _("{names} and {count} more").format(names=shown, count=count) if count > 0 else shown


def doneAnswers():
    """What can be done about targets that have results already: skip them, or replace these."""
    return [_("Skip them"), _("Replace the results")]


def doneQuestion(done, count):
    """Asked before a start: of ``count`` targets those in ``done`` have results in the output folder."""
    return _(
        "{done} of {count} targets have results in the output folder already: {names}.\n\nSkip these targets, or "
        "replace the results? What you have corrected and saved in their folders is replaced, too."
    ).format(done=len(done), count=count, names=_names([entry.name for entry in done]))


def actionTexts(entry, canRetry):
    """(text, tooltip) of an entry's button. ``canRetry``: see `Worklist.canRetry`."""
    if entry.isActive:
        return _("Cancel"), _("Ends this target's run; the others go on.")
    if entry.state == "finished":
        return _("Show"), _("Shows the result in the slices, and its structures above.")
    if not canRetry:
        return _("Retry"), _("A run is going on. Try again when it has ended.")
    return _("Retry"), _("Segments this target again, with the choices of the last start.")
