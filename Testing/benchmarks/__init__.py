"""Measurements on labelled scans; started with ``python3 run.py benchmark``."""
