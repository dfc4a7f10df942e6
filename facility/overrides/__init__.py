"""Overrides: what operators ask for, made durable by the desk and weighed into bounds by arbitration."""
