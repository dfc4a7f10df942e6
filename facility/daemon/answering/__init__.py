"""Whoever sends a command is answered: operators, the desk of rentals, planners, tenants."""
