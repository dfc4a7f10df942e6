"""Roles: who may write and who may read each topic. The broker enforces it; `facility.bus.mosquitto` writes it down for one.

| role        | who that is                                                      | name of its user, where the site file names none |
|-------------|------------------------------------------------------------------|--------------------------------------------------|
| `daemon`    | the service itself                                               | that of `bus.broker`, or `daemon`                |
| `operator`  | a person who may overrule                                        | `operator`                                       |
| `dashboard` | whatever only looks                                              | `dashboard`                                      |
| `scheduler` | what submits jobs and starts them                                | `scheduler`                                      |
| `grid`      | the grid operator's and the forecasters' signals                 | `grid`                                           |
| `desk`      | who rents out and trades                                         | `desk`                                           |
| `building`  | what obeys set-points, and what speaks the building's own words  | `building`                                       |
| `agent`     | what sets the caps of one pool                                   | `agent-POOL`                                     |
| `gateway`   | the meters of one hall, or of the hall `site`                    | `gateway-HALL`                                   |
| `tenant`    | who rents                                                        | `tenant-TENANT`                                  |

The daemon reads everything below the site's root and writes what is `out` in the table of topics; operators and dashboards read
everything. What the others may is `PARTIES`. Nothing else is allowed. An answer that MQTT 5 asks for goes to `reply/USER/...`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from facility.bus.broker import parse_broker_url
from facility.bus.topics import TABLE, Topics
from facility.site import Site

Access = Literal["read", "write"]

ONE_EACH: Final[Mapping[str, str]] = {"agent": "pool", "gateway": "hall", "tenant": "tenant"}
"""Roles that are of one thing, and the placeholder which that fills in their topics."""

READ_ALL: Final = ("daemon", "operator", "dashboard")
REPLIES: Final = "reply"


class Parties(NamedTuple):
    """Roles at the other end of a topic: who writes what the service reads, and who reads what somebody writes."""

    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


PARTIES: Final[Mapping[str, Parties]] = {
    "tele": Parties(("gateway",)),
    "batch": Parties(("gateway",)),
    "meta": Parties(("gateway",)),
    "grid_limit": Parties(("grid",)),
    "grid_price": Parties(("grid",), ("desk",)),
    "grid_carbon": Parties(("grid",)),
    "grid_event": Parties(("grid",)),
    "signal_weather": Parties(("grid",)),
    "signal_load": Parties(("grid",)),
    "cap_desired": Parties((), ("agent",)),
    "cap_reported": Parties(("agent",)),
    "cap_node_reported": Parties(("agent",)),
    "job_spec": Parties(("scheduler",)),
    "job_desired": Parties((), ("scheduler",)),
    "job_reported": Parties(("scheduler",), ("agent",)),  # which GPUs a job holds
    "contract_set": Parties(("desk",)),
    "contract_clear": Parties(("desk",)),
    "contract_result": Parties((), ("desk",)),
    "contract_state": Parties((), ("desk",)),
    "position_set": Parties(("desk", "operator")),
    "position_result": Parties((), ("desk",)),
    "position_state": Parties((), ("desk",)),
    "quote_request": Parties(("desk",)),
    "quote_result": Parties((), ("desk",)),
    "tenant_view": Parties((), ("tenant", "desk")),
    "tenant_job_spec": Parties(("tenant",), ("scheduler",)),
    "cooling_desired": Parties((), ("building",)),
    "cooling_reported": Parties(("building",)),
    "battery_desired": Parties((), ("building",)),
    "battery_reported": Parties(("building",)),
    "genset_desired": Parties((), ("building",)),
    "solar_desired": Parties((), ("building",)),
    "override_set": Parties(("operator",)),
    "override_clear": Parties(("operator",)),
    "override_result": Parties(),
    "override_state": Parties(),
    "whatif_set": Parties(("operator",)),
    "whatif_result": Parties(),
    "why_set": Parties(("operator",)),
    "why_result": Parties(),
    "plan": Parties((), ("desk",)),
    "quality": Parties(),
    "status": Parties(),
    "alarm": Parties(),
    "alarm_shelve": Parties(("operator",)),
    "alarm_unshelve": Parties(("operator",)),
    "alarm_result": Parties(),
}
"""By name of the table of topics. Who may overrule is no agent, who measures gives no orders, who looks writes nothing."""


class User(NamedTuple):
    """A user of the broker: its role and, for a role of one thing, that thing's id."""

    name: str
    role: str
    of: str | None = None


class Foreign(NamedTuple):
    """Patterns of topics that are not ours: readings that the building tells, orders that the grid sends, what we tell the grid, what we
    tell the building, the set-points of its gateways, and what these read back.
    """

    readings: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    set_points: tuple[str, ...] = ()
    read_backs: tuple[str, ...] = ()


NOTHING: Final = Foreign()


def users(site: Site) -> Iterator[User]:
    """Every user of a site's broker: those of `bus.users`, and for what has none there one of its own name."""
    yield User(parse_broker_url(site.bus.broker).username or "daemon", "daemon")
    named = [User(name, *_split(role)) for name, role in site.bus.users.items()]
    yield from named
    taken = {(user.role, user.of) for user in named}
    single = [(role, None) for role in ("operator", "dashboard", "scheduler", "grid", "desk", "building")]
    several: dict[str, Collection[str]] = {"agent": site.pools, "gateway": list(dict.fromkeys(["site", *site.halls])), "tenant": site.tenants}
    for role, of in [*single, *((role, each) for role, ids in several.items() for each in ids)]:
        if (role, of) not in taken:
            yield User(role if of is None else f"{role}-{of}", role, of)


def rules(site: Site, user: User, foreign: Foreign = NOTHING) -> Iterator[tuple[Access, str]]:
    """What a user may do, as patterns of topics."""
    topics = Topics(site.bus.root, site.id)
    ids = {ONE_EACH[user.role]: user.of} if user.of is not None else {}
    if "pool" in ids:
        ids["hall"] = site.pools[ids["pool"]].hall
    if user.role in READ_ALL:
        yield "read", f"{site.bus.root}/{site.id}/#"
    for topic in TABLE:
        parties = PARTIES[topic.name]
        may_write = topic.direction == "out" if user.role == "daemon" else user.role in parties.writers
        may_read = user.role in parties.readers
        for pattern in topics.patterns(topic.name, **ids) if may_write or may_read else ():
            yield "write" if may_write else "read", pattern
    heard, told = (*foreign.readings, *foreign.orders), foreign.told
    reads, writes = {
        "daemon": (heard, (*told, *foreign.answers, f"{REPLIES}/#")),
        "building": ((*foreign.answers, *foreign.read_backs), (*foreign.readings, *foreign.set_points)),
        "grid": (told, foreign.orders),
        "operator": ((f"{REPLIES}/{user.name}/#",), ()),
        "desk": ((f"{REPLIES}/{user.name}/#",), ()),
    }.get(user.role, ((), ()))
    yield from (("read", pattern) for pattern in reads)
    yield from (("write", pattern) for pattern in writes)


def _split(role: str) -> tuple[str, str | None]:
    kind, _, of = role.partition("/")
    return kind, of or None
