"""Power: the feeder tree and what gives and stores beside it."""
