"""Solving: a program as arrays, the solver here or in a process of its own, the order of breaches, and what must be whole."""
