"""Solving: the solver, the order of breaches, and what must be whole."""
