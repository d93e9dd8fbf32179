"""Asks the worker what it runs on."""

from RRLMedSAMEngine import protocol

from .task import Task


class ProbeTask(Task):
    """``facts``: short texts by name, see `RRLMedSAMEngine.probe`, when it has finished."""

    def __init__(self, worker):
        super().__init__(worker)
        self.facts = None

    def _steps(self):
        answer = yield from self._compute(protocol.Probe(self._id))
        self.facts = answer.facts
