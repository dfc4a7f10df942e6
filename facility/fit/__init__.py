"""Fit: what a site file says, held against what was recorded."""
