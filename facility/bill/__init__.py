"""Bill: what each tenant used and owes, from what was measured.

    metered energy of each slot       `metered`: meters of the history, gaps filled aloud
    who had what in it                `rows`: the usage that the daemon counted, which is the key and never the amount
    each kWh to whom it was for       `rules`: pools, cooling, base load, losses, batteries - a small pure function for each
    each kWh's money                  `money`: energy, fees, peaks, standing, carbon; `terms`: what contracts owe and are owed
    what nobody caused                the site's own account, so that all accounts are the meter's energy and the site's whole cost

`prices` is what a kWh cost and emitted, `reckon` puts all of it together, `rounding` makes whole cents of it that add up, `files` and `page` write
it, `versions` keeps every version that ever was.
"""
