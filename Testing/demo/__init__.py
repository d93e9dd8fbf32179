"""The main job on sample data in a real MRML scene: `python3 run.py demo`."""
