"""Makes and checks the folder .venv for run.py. Standard library only: it runs before anything is installed."""
