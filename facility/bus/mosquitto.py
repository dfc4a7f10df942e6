"""Configuration of Mosquitto 2.0 for one site: who may do what, and the limits of the broker.

Every user is written out with its own topics: Mosquitto has no groups, and its pattern rules (`%u`) hold for every user and bind a
whole level to the user's name, so that a tenant who is called as a pool is would get that pool's topics. A site that gets a pool or a
tenant gets a new file; Mosquitto takes it on SIGHUP without losing a connection. Subscribing is always granted there: what must not
be read is not delivered. On MQTT 3.1.1 nobody is told of a denied message, so a command counts only with its answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from facility.bus.broker import parse_broker_url
from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.roles import NOTHING, Foreign, rules, users
from facility.site import Site

FOLDER = "/etc/mosquitto"


def acl(site: Site, foreign: Foreign = NOTHING) -> str:
    """Write the file of access rules."""
    lines = [f"# Who may do what on the broker of {site.id}. Made by `facility check SITE --acl`; what is not here is denied."]
    for user in users(site):
        lines += ["", f"# {user.role}" + (f" of {user.of}" if user.of else ""), f"user {user.name}"]
        lines += [f"topic {access} {pattern}" for access, pattern in rules(site, user, foreign)]
    return "\n".join(lines)


def conf(site: Site) -> str:
    """Write mosquitto.conf: one door for passwords, one for certificates, both with TLS; none for anybody else."""
    return "\n".join(_conf(site))


def _conf(site: Site) -> Iterator[str]:
    broker = parse_broker_url(site.bus.broker)
    port = broker.port if broker.tls else 8883
    sessions = 4 * len(list(users(site))) + 100
    yield f"""\
# Mosquitto 2.0 for {site.id}. Made by `facility check SITE --broker-conf`.
# Beside it belong {FOLDER}/facility.acl (`facility check SITE --acl`), {FOLDER}/facility.passwd (`mosquitto_passwd -c FILE USER`)
# and {FOLDER}/certs/; all of them for nobody but the broker to read. After a change of the first two: kill -HUP.
per_listener_settings true

# Users with a password.
listener {port}
allow_anonymous false
password_file {FOLDER}/facility.passwd"""
    yield from _door(sessions)
    yield f"""
# Users with a certificate that the CA signed for their name.
listener {port + 1}
allow_anonymous false
cafile {FOLDER}/certs/ca.crt
require_certificate true
use_identity_as_username true"""
    yield from _door(sessions)
    yield f"""
# As much as one payload may have here; the service reads no more.
message_size_limit {MAX_PAYLOAD_BYTES}

# A burst of readings must not be lost while the service is busy: with the usual 1000 a quarter of 40,000 a second is, silently.
# A reader that hangs costs at most 256 MiB.
max_queued_messages 1000000
max_queued_bytes {256 * 1024 * 1024}

# Retained topics outlive the broker; the usual half an hour between writes loses all of them with it.
persistence true
persistence_location /var/lib/mosquitto/
autosave_interval 10
persistent_client_expiration 1d"""


def _door(sessions: int) -> Iterator[str]:
    yield f"acl_file {FOLDER}/facility.acl"
    yield f"certfile {FOLDER}/certs/broker.crt"
    yield f"keyfile {FOLDER}/certs/broker.key"
    yield "tls_version tlsv1.2"
    yield f"max_connections {sessions}"
