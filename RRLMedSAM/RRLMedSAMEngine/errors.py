"""Errors that reach the user: what is wrong in one sentence, what to do in another."""

HOPELESS = ("no_torch", "disk_full")  # codes of errors that each following target would meet, too


class EngineError(Exception):
    """``code`` is one of the protocol's: bad_input, no_overlap, out_of_memory, disk_full, no_torch, bad_model.

    ``text`` and ``action`` never hold a path or a patient's name: they are shown and logged as they are.
    """

    def __init__(self, code: str, text: str, action: str):
        super().__init__(f"{text} {action}".strip())
        self.code, self.text, self.action = code, text, action


class WritingError(EngineError):
    """A file cannot be written: disk_full, or bad_input where the folder does not allow it."""


class Cancelled(EngineError):
    """The user asked to stop."""

    def __init__(self):
        super().__init__("cancelled", "Cancelled.", "")


def bad_input(text: str, action: str) -> EngineError:
    return EngineError("bad_input", text, action)
