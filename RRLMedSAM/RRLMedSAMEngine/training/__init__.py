"""Training of the networks: cases prepared once, samples drawn from them, losses, and the loop."""
