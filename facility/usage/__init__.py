"""Usage: who had what, for each quarter of an hour: of every rental and job in every pool, and of the GPUs that nobody had.

`usage` is what is kept, `standing` what stands at an instant and what it comes to in an hour, `counting` counts it quarter by quarter. All of
it is pure: the daemon counts with it as it goes (`facility.daemon.used`), and so does a backtest.
"""
