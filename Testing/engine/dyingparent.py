"""Starts a worker, gives it a long run if the second argument is ``busy``, prints its pid, and waits to be killed."""

import sys
import time

from enginekit import WorkerUnderTest, segment_request
from RRLMedSAMEngine import protocol

worker = WorkerUnderTest(stub=True, start_new_session=True)
pid = worker.wait_for(protocol.Ready).pid
if sys.argv[2] == "busy":
    worker.send(segment_request(sys.argv[1], model="slow"))
    worker.wait_for(lambda m: isinstance(m, protocol.Progress) and m.stage == "deform")
print(pid, flush=True)
time.sleep(60)
