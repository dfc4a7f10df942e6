"""Inputs: the files a planner hands in - series, jobs - read as they are or refused with their place."""
