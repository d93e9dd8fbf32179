"""The phantoms are small: a second thread costs more in waiting than it computes, most of all on a busy machine."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded
