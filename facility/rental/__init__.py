"""Rentals: contracts that come and go while the site runs.

`rental` holds one and the site with those in force, `fit` says whether one fits and what would, `desk` answers for them.
"""
