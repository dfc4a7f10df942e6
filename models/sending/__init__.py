"""Sending: from a solution to what can be sent."""
