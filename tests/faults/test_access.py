"""Faults 39 and 40: everybody tries what is not theirs on a real broker with the shipped rules, and certificates that end."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from facility.bus.certificates import ending, ends
from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.site import Bus
from tests.facility.test_access import certificate
from tests.facility.test_daemon import SITE, House
from tests.faults.fault import Fault
from tests.processes import needs_mosquitto, until
from tests.shipped import Shipped, heard, needs_tools

ROOT = "facility/v1/demo/"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")

ROWS = [
    row.split()
    for row in """
    daemon         publishes   cap/h1/h1-a/desired                    yes
    daemon         publishes   job/j1/desired                         yes
    daemon         publishes   plan/current                           yes
    daemon         publishes   svc/facility-1/status                  yes
    daemon         publishes   override/pool/h1/h1-a/result           yes
    daemon         publishes   override/site/state                    yes
    daemon         publishes   contract/c1/state                      yes
    daemon         publishes   alarm/a1                               yes
    daemon         publishes   alarm/a1/result                        yes
    daemon         publishes   alarm/a1/shelve                        no
    daemon         reads       alarm/a1/unshelve                      yes
    daemon         publishes   cap/h1/h1-a/reported                   no
    daemon         publishes   override/site/set                      no
    daemon         publishes   tele/h1/pool/h1-a/it_power_kw          no
    daemon         reads       override/pool/h1/h1-a/set              yes
    daemon         reads       tele/h1/batch/gw                       yes
    operator       publishes   override/site/set                      yes
    operator       publishes   override/hall/h1/set                   yes
    operator       publishes   override/pool/h1/h1-a/set              yes
    operator       publishes   override/job/j1/clear                  yes
    operator       publishes   position/set                           yes
    operator       publishes   alarm/a1/shelve                        yes
    operator       publishes   alarm/a1/unshelve                      yes
    operator       publishes   alarm/a1                               no
    operator       publishes   alarm/a1/result                        no
    operator       publishes   cap/h1/h1-a/desired                    no
    operator       publishes   override/site/result                   no
    operator       publishes   override/site/state                    no
    operator       publishes   plan/current                           no
    operator       publishes   svc/facility-1/status                  no
    operator       publishes   contract/c1/set                        no
    operator       publishes   grid/main/limit                        no
    operator       reads       cap/h1/h1-a/desired                    yes
    operator       reads       override/site/result                   yes
    dashboard      publishes   override/site/set                      no
    dashboard      publishes   alarm/a1/shelve                        no
    dashboard      publishes   plan/current                           no
    dashboard      publishes   tele/h1/pool/h1-a/it_power_kw          no
    dashboard      reads       plan/current                           yes
    dashboard      reads       tele/h1/pool/h1-a/it_power_kw          yes
    gateway-h1     publishes   tele/h1/pool/h1-a/it_power_kw          yes
    gateway-h1     publishes   tele/h1/batch/gw                       yes
    gateway-h1     publishes   meta/h1/hall/h1/air_temperature_c      yes
    gateway-h1     publishes   tele/h2/pool/h2-a/it_power_kw          no
    gateway-h1     publishes   tele/site/meter/main/import_kw         no
    gateway-h1     publishes   override/site/set                      no
    gateway-h1     publishes   cap/h1/h1-a/reported                   no
    gateway-h1     publishes   grid/main/limit                        no
    gateway-h1     reads       plan/current                           no
    gateway-h1     reads       override/site/state                    no
    gateway-site   publishes   tele/site/meter/main/import_kw         yes
    gateway-site   publishes   tele/h1/batch/gw                       no
    agent-h1-a     publishes   cap/h1/h1-a/reported                   yes
    agent-h1-a     publishes   cap/h1/h1-b/reported                   no
    agent-h1-a     publishes   cap/h2/h2-a/reported                   no
    agent-h1-a     publishes   cap/h1/h1-a/desired                    no
    agent-h1-a     publishes   override/pool/h1/h1-a/set              no
    agent-h1-a     reads       cap/h1/h1-a/desired                    yes
    agent-h1-a     reads       cap/h1/h1-b/desired                    no
    agent-h1-a     reads       job/j1/reported                        yes
    scheduler      publishes   job/j1/spec                            yes
    scheduler      publishes   job/j1/reported                        yes
    scheduler      publishes   job/j1/desired                         no
    scheduler      publishes   override/job/j1/set                    no
    scheduler      reads       job/j1/desired                         yes
    scheduler      reads       cap/h1/h1-a/desired                    no
    grid           publishes   grid/main/limit                        yes
    grid           publishes   signal/weather                         yes
    grid           publishes   override/grid/main/set                 no
    grid           reads       plan/current                           no
    desk           publishes   contract/c1/set                        yes
    desk           publishes   position/set                           yes
    desk           publishes   contract/c1/state                      no
    desk           publishes   override/site/set                      no
    desk           reads       contract/c1/result                     yes
    building       publishes   battery/bess-1/reported                yes
    building       publishes   battery/bess-1/desired                 no
    building       reads       cooling/chiller/desired                yes
    daemon         publishes   tenant/lumen/view                      yes
    tenant-lumen   reads       tenant/lumen/view                      yes
    tenant-lumen   reads       tenant/kepler/view                     no
    tenant-lumen   reads       tenant/kepler/job/j1/spec              no
    tenant-lumen   publishes   tenant/lumen/job/j1/spec               yes
    tenant-lumen   publishes   tenant/kepler/job/j1/spec              no
    tenant-lumen   publishes   tenant/lumen/view                      no
    tenant-kepler  reads       tenant/kepler/view                     yes
    tenant-kepler  reads       tenant/lumen/view                      no
    scheduler      reads       tenant/lumen/job/j1/spec               yes
    scheduler      reads       tenant/lumen/view                      no
    agent-h1-a     reads       tenant/lumen/view                      no
    desk           reads       tenant/lumen/view                      yes
    desk           publishes   tenant/lumen/job/j1/spec               no
    tenant-lumen   publishes   alarm/a1/shelve                        no
    tenant-lumen   publishes   job/j1/spec                            no
    tenant-lumen   publishes   contract/c1/set                        no
    tenant-lumen   reads       plan/current                           no
    tenant-lumen   reads       contract/c1/state                      no
    tenant-lumen   reads       job/j1/reported                        no
    """.strip().splitlines()
]
"""Who does what, and whether it comes through."""


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Shipped]:
    made = Shipped(tmp_path)
    yield made
    made.broker.stop()


@needs_mosquitto
@needs_tools
def test_fault_39_what_everybody_tries_comes_through_where_it_may_and_nowhere_else(shipped: Shipped, fault: Fault) -> None:
    assert len(ROWS) > 40
    with ExitStack() as stack:
        def connect(user: str) -> MqttBus:
            bus = stack.enter_context(closing(MqttBus(shipped.as_user(user), user)))
            assert bus.wait_connected(5), (user, bus.trouble)
            return bus

        witness = connect("witness")
        witness.subscribe("#", qos=1)
        buses = {user: connect(user) for user in dict.fromkeys(row[0] for row in ROWS)}
        user_of, acknowledged = {bus: user for user, bus in buses.items()}, list[str]()

        def tries() -> None:
            for number, (user, does, topic, _) in enumerate(ROWS):
                if does == "reads":
                    buses[user].subscribe(ROOT + topic, qos=1)
                else:
                    buses[user].publish(Message(ROOT + topic, b"by %d" % number, qos=1))
            for bus in buses.values():  # each is answered in order: with the last answer all before it was judged
                bus.publish(Message("knock", b"", qos=1))
                assert until(lambda bus=bus: all(info.is_published() for info, _ in bus._on_its_way))
                acknowledged.append(user_of[bus])
            for number, (_, does, topic, _) in enumerate(ROWS):
                if does == "reads":
                    witness.publish(Message(ROOT + topic, b"for %d" % number, qos=1))

        fault(tries)
        fault.proven(lambda: sorted(acknowledged) == sorted(buses), "the broker has not heard and judged every one of them")
        witness.publish(Message("over", b"", qos=1))
        said: set[tuple[str, bytes]] = set()
        while not any(topic == "over" for topic, _ in said):
            said |= heard(witness, 0.2)
        time.sleep(0.3)
        read = {user: heard(bus) for user, bus in buses.items()}
    for number, (user, does, topic, may) in enumerate(ROWS):
        came = (ROOT + topic, b"for %d" % number) in read[user] if does == "reads" else (ROOT + topic, b"by %d" % number) in said
        assert came == (may == "yes"), f"{user} {does} {topic}: {'it came through' if came else 'it did not'}"


def soon_over(cert: Path, days: int) -> bool:
    """Whether openssl says that a certificate ends within so many days."""
    ask = ["openssl", "x509", "-in", str(cert), "-noout", "-checkend", str(days * 86_400)]
    return subprocess.run(ask, check=False, capture_output=True).returncode == 1


@needs_openssl
def test_fault_40_a_certificate_is_told_of_from_thirty_days_before_its_end(tmp_path: Path, fault: Fault) -> None:
    cert, _ = certificate(tmp_path, 90)
    fault(lambda: certificate(tmp_path, 20))
    fault.proven(lambda: soon_over(cert, 30), "it lasts for months", within_s=0)
    bus, end = Bus(broker="mqtts://h", cert_file=str(cert)), ends(cert)
    assert not list(ending(bus, end - timedelta(days=30, seconds=1)))
    (soon,), (over,) = list(ending(bus, end - timedelta(days=30))), list(ending(bus, end + timedelta(days=2)))
    assert f"ends in 30 days, on {end:%Y-%m-%d}; have a new one signed" in str(soon)
    assert "ended 2 days ago" in str(over)


@needs_openssl
def test_fault_40_a_certificate_that_ends_is_an_alarm_of_the_daemon_until_there_is_a_new_one(tmp_path: Path, fault: Fault) -> None:
    cert, _ = certificate(tmp_path, 400)
    bus = SITE.bus.model_copy(update={"broker": "mqtts://h", "cert_file": str(cert)})
    fault(lambda: certificate(tmp_path, 7))
    fault.proven(lambda: soon_over(cert, 8), "it lasts for a year", within_s=0)
    house = House(tmp_path / "journal.sqlite", SITE.model_copy(update={"bus": bus}))
    house.clock.advance((ends(cert) - timedelta(days=7) - house.clock.now()).total_seconds())
    house.daemon.start()
    told = house.retained("alarm/certificates")
    assert told is not None
    assert (told["place"], "ends in 7 days" in told["cause"], "new one signed" in told["remedy"]) == ("bus.cert_file", True, True)
    certificate(tmp_path, 400)
    house.daemon.upkeep.facts_s -= 60
    house.settle()
    assert house.retained("alarm/certificates") is None
    house.kill()
