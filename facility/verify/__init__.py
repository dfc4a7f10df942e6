"""The second opinion on every decision, and the caps that hold without one.

`rules` judges, room by room: `feeders`, `heat`, `stores`, `jobs`, `tenancy` (what contracts ask), `outage` and `reserve`; `form` refuses
what is not well formed. `draw`, `cooling`, `supply` and `loads` are the arithmetic of the site, `envelope` finds safe caps.
"""

from facility.verify.cooling import steady_cooling_kw
from facility.verify.draw import at_rest_kw
from facility.verify.envelope import fallback_caps, fits, highest_cap
from facility.verify.loads import expected_kw
from facility.verify.rules import Earlier, verify, verify_worst
from facility.verify.stores import ride_through_kwh
from facility.verify.violation import Tier, Violation

__all__ = [
    "Earlier",
    "Tier",
    "Violation",
    "at_rest_kw",
    "expected_kw",
    "fallback_caps",
    "fits",
    "highest_cap",
    "ride_through_kwh",
    "steady_cooling_kw",
    "verify",
    "verify_worst",
]
