"""Backtest: the closed loop over any span of the past, against a plant of its own, beside what the same days cost otherwise.

    foresight  the same loop, that knows all prices, weather and jobs to come
    ours       the service: it knows what was known at each instant, and no more
    rules      what an operator would set: batch at night, one cap for it
    none       nobody: highest caps, everything as soon as there are GPUs

Each has a plant of its own with the same noise. Nothing here has a thread, a bus or a clock.
"""
