"""Maintain: when GPUs of a pool leave for a repair, or for new ones, so that no contract is interrupted and it costs least."""
