"""Alarms: how they are named, which people put aside for a while, and how many there are beside how many a person can bear."""
