"""The second opinion on every decision, and the caps that hold without one.

`rules` judges, `tenancy` what contracts ask, `form` refuses what is not well formed, `loads` is the arithmetic of the site,
`envelope` finds safe caps.
"""

from facility.verify.envelope import fallback_caps, fits, highest_cap
from facility.verify.loads import at_rest_kw, expected_kw, steady_cooling_kw
from facility.verify.rules import Earlier, ride_through_kwh, verify
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
]
