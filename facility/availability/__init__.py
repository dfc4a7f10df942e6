"""Availability: what each contract was promised and what it had, from the usage that the daemon counted. Pure.

`contract` is one contract over a span, `interruptions` what it lacked and why, `windows` its slow hours against their budget.
"""
