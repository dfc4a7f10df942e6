"""Deferrals on Slurm: its jobs told to the service, and begin times set as the service orders."""
