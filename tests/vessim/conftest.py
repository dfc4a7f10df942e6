"""Vessim is optional: without it nothing here is looked at but the test that says so."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("vessim") else ["plant.py", "days.py"]
