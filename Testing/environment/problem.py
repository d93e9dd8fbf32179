"""What the user reads of the set-up."""

import sys

SETUP_FAILED, USAGE, NO_TORCH = 9, 2, 7  # exit codes of run.py; the last one is the command line's own
NEEDED_BYTES = 3 << 30  # for .venv; measured: 2.6 GB with PyTorch for the CPU
NEEDED_TEMPORARY_BYTES = 1 << 30  # for what pip downloads


class Problem(Exception):
    """What is wrong in one sentence, what to do in another."""

    def __init__(self, text, action, code=SETUP_FAILED):
        super().__init__(f"{text} {action}")
        self.text, self.action, self.code = text, action, code


def disk_full():
    return Problem(
        "There is too little space on the disk.",
        f"Free {NEEDED_BYTES >> 30} GB where .venv is and {NEEDED_TEMPORARY_BYTES >> 30} GB for temporary files, or "
        "set RRLMEDSAM_VENV and TMPDIR to folders on another disk, then start again.",
    )


def say(text):
    """All that the set-up tells goes to standard error: standard output is the command's."""
    print(text, file=sys.stderr, flush=True)
