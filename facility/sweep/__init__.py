"""What-if sweeps: many plans of one site, each with other values of some of its keys, side by side.

`axes` reads which keys take which values, and `question` checks all of it before anything runs. `work` makes one case: the plan that `facility plan`
makes, and its figures. `crew` has processes that make one after another, `cluster` many machines; `kept` has what was made already, so that a
sweep goes on where it ended. `telling` is the table, `page` the chart.
"""
