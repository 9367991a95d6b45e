"""Figures of this machine, each beside its physical limit: `python -m bench`, one file a scenario."""
