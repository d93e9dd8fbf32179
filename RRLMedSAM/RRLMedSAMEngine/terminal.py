"""What the command line tells of a target's progress: a bar where somebody looks on, lines where a file does."""

import os
import sys
import time
from unicodedata import combining, east_asian_width

LINE_SECONDS = 10.0  # between two progress lines of one stage
BAR_SECONDS = 0.1  # between two pictures of the bar
BAR_WIDTH, WIDTH = 24, 80  # characters: of the bar, of a terminal that does not tell


def progress_of(name: str, number: int = 1, count: int = 1):
    """What tells the progress of one target of so many on this process's standard error."""
    if count > 1:
        name = f"{number} of {count}, {name}"
    return ProgressBar(name) if sys.stderr.isatty() else ProgressLines(name)


class ProgressLines:
    """A line for each stage, and from time to time."""

    def __init__(self, name: str):
        self._name, self._stage, self._told = name, None, 0.0

    def __call__(self, stage: str, fraction: float, seconds_left: float | None) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._told < LINE_SECONDS:
            return
        self._stage, self._told = stage, now
        self.say(_text(stage, fraction, seconds_left))

    def say(self, text: str) -> None:
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)


class ProgressBar:
    """One line that is drawn anew, until something else is said."""

    def __init__(self, name: str):
        self._name, self._stage, self._drawn, self._length = name, None, 0.0, 0

    def __call__(self, stage: str, fraction: float, seconds_left: float | None) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._drawn < BAR_SECONDS:
            return
        self._stage, self._drawn = stage, now
        done = round(BAR_WIDTH * min(max(fraction, 0.0), 1.0))
        bar = "#" * done + "-" * (BAR_WIDTH - done)
        self._draw(f"{self._name}: [{bar}] {_text(stage, fraction, seconds_left)}")

    def say(self, text: str) -> None:
        self._draw("")
        print(f"\r{self._name}: {text}", file=sys.stderr, flush=True)
        self._length = 0

    def _draw(self, text):
        width = _width()
        while _columns(text) >= width:  # a line that wraps cannot be drawn over
            text = text[:-1]
        print("\r" + text + " " * (self._length - _columns(text)), end="", file=sys.stderr, flush=True)
        self._length = _columns(text)


def _width():
    """The terminal's. Some have none to tell, and on Windows the null device passes for a terminal."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or WIDTH
    except OSError:
        return WIDTH


def _columns(text):
    """How wide a text is on a terminal: Chinese characters take two columns, accents of their own none."""
    return sum(0 if combining(each) else 1 + (east_asian_width(each) in "WF") for each in text)


def _text(stage, fraction, seconds_left):
    left = "" if seconds_left is None else f", {seconds_left:.0f} s left"
    return f"{stage}, {100 * fraction:.0f} %{left}"
