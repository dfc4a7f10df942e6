"""Guard: plans only expect, meters know. Where a place has more than it may, caps give way at once; no solver in it, no waiting, no raising.

    readings   what every place shows (`tree`: who hangs where, `heat`: where a hall is heading, `defiance`: whose caps tell nothing)
    cuts       what gave way, until it may rise again, and how a plan is told
    guard      from the one to the other; `giving`: how caps give way, `holding.charging`: how batteries do before them

| figure | value | why |
|---|---|---|
| cut | above 98 % of a rating | a meter of class 1 errs by 1 %; a UPS at 150 % lives 10 to 60 s |
| aim | 95 % of it | what is cut is expected, not measured; a second cut is dearer than a deeper one |
| redistribute | after 60 s at or below the cut | until then caps are held one by one; then a plan may share out anew what fits below the aim |
| release | below 90 % for 60 s | far enough below the cut that what rises again does not pass it |
| grid | above its limit, or an event's target, aim at 99 %, release at 97.5 % for 60 s | a contract's mean, no rating: plans rightly fill it |
| | then what is followed has back what the meter shows below the aim, and so after every such minute | a plan may be long in coming |
| | batteries that a plan has charge more wait for 15 s at 97.5 % | it counts on halls that warm up later in its first step |
| hall | where a minute more of its rise ends above the allowable maximum | IT gear warms a hall by some K/min; lower caps show in its rise |
| | aim at the recommended maximum in 300 s; released at or below it for 60 s | |
| settle | 15 s | caps reach GPUs, and those the meter, within that; what a meter shows above what was answered is news at once (2 %, 2 K) |
| group | its feeders together, as above, for 15 s | of what it carries without its largest feeder, or of what is left of it |
| at worst | above what the verifier allows | where a pool draws more than its caps allow, or a meter is lost |

Cut, aim, release, calm and look-ahead are the site file's (`control.guard`). Below the place batteries stop charging - at the grid at first only by
what must go - then pools give way, all by the same share of their range, those whose caps people command last of those that obey. Where the lowest
caps are not enough jobs are held. It never says how fast caps may rise again: that is the actuator's.
"""

from facility.daemon.guard.cuts import Cut
from facility.daemon.guard.guard import SETTLE, Guard, Warned

__all__ = ["SETTLE", "Cut", "Guard", "Warned"]
