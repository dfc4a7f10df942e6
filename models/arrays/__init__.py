"""Arrays: Pyomo's Sets, Params and templates evaluated for all their indices at once."""
