"""The history: every reading, believed or not, with when it was measured and the verdict on it.

It is a record for people, and nothing that is decided depends on it: losing it, or its disk, stops nothing. `recorder` takes readings
from the daemon and writes them in a thread of its own, `store` is where they go, by way of `sqlite` or `postgres`, `tables` is the SQL
that both share. `retention` makes old readings into means, `reading` and `export` are for who looks at them.
"""

from facility.history.place import default_place, open_history
from facility.history.recorder import Note, Nowhere, Recorder
from facility.history.tables import GOOD

__all__ = ["GOOD", "Note", "Nowhere", "Recorder", "default_place", "open_history"]
