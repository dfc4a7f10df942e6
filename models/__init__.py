"""The optimisation model of a site: numbers in, numbers out. No clock, no network, no file; nothing here imports `facility`.

Signs      a load is positive when it draws; a battery's net power is positive when it charges.
Units      kW, kWh, h, degC; W for what one GPU draws or may draw; money in the site's currency. The unit ends the name.
Time       steps t = 0, 1, ... of hours[t] hours each, not all equal; instants are hours after the horizon's start.
Work       GPU hours at relative speed 1; an uncapped GPU runs at speed 1.
Symbols    w workload, k operating point, t step, p pool, f feeder.

`models.site.build` states the whole linear program on one page; each asset has a room of its own whose docstring is its
formulation. `models.plan.make_plan` solves, rounds to what can be sent and tells what it costs.
"""
