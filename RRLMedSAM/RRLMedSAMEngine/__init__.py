"""RRLMedSAM's engine: one-shot registration and segmentation. Imports neither Slicer nor Qt."""

__version__ = "0.1.0"
