"""The Slicer side of RRLMedSAM: panel, logic, scene and the worker's pipes. Never imports torch."""
