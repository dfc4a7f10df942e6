"""From messages to the latest reading of each sensor, and from those to a snapshot of the site.

`latest` takes messages in. `routes` says what a topic tells, by the `sources` that a site understands: `own_tree` is ours, `mapping` a
building's own words, `points` those of NVIDIA DSX Exchange, of which several may make one of the `sums`. `readings` takes or refuses
each value, `units` converts it, `track` follows each sensor. `quality` says what of all that is believed: `belief` of one sensor,
`redundancy` of several, `balance` of sums, `stand_in` where nothing is heard. `billing` and `meter` follow the billing intervals, `work` the
jobs; `memory` outlives a restart.
"""

from facility.telemetry.latest import Telemetry
from facility.telemetry.readings import Reading

__all__ = ["Reading", "Telemetry"]
