"""What people ask of the plan, thought over in a process of its own: what an override would do, and why something is as it is."""
