"""Config: a site file read whole, or every fault in it told at once."""

from facility.config.load import assumed_curves, load_site, schema

__all__ = ["assumed_curves", "load_site", "schema"]
