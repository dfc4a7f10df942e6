"""NVIDIA DSX Exchange: what the standard says of topics and messages, and what it means here.

`facts` are the standard's own words. `bms` is what a building management system publishes, of which `facility.telemetry.points` makes
readings, `naming` how a site file names its points.
`cloudevents`, `signature`, `party` and `flex` are messages of flexible load, `schedule` is what load targets ask, `powerstate` and
`breach` what is told of how they are kept. `channels` describes all that as AsyncAPI.
"""
