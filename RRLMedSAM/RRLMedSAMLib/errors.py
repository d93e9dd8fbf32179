"""Errors that reach the user: what is wrong in one sentence, what to do in another."""


class RunError(Exception):
    """A run that cannot start or go on.

    ``code`` is one of the protocol's `Failed` codes or of `messages`; ``text`` and ``action`` are shown as they
    are. ``node`` is the MRML node that the action is about, if it is about one.
    """

    def __init__(self, code, text, action="", node=None):
        super().__init__(f"{text} {action}".strip())
        self.code, self.text, self.action, self.node = code, text, action, node
