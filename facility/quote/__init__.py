"""Quotes: what a rental would cost in energy, when it could start, what it displaces, and what its flexibility is worth."""
