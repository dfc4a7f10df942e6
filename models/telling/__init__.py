"""Telling: what limits are worth, why a plan is as it is, and what would help."""
