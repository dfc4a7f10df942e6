"""NVIDIA DSX Exchange: what the standard says of topics and messages, and what it means here.

`facts` are the standard's own words. `bms` and `points` make readings of what a building management system publishes;
`cloudevents`, `signature` and `flex` are messages of flexible load, `schedule` what load targets ask, `powerstate` and `breach` what
is told of how they are kept; `channels` describes all that as AsyncAPI.
"""
