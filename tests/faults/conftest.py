"""One house of real processes for all faults that it gets over; the daemon reaches its broker over a wire that can be made bad."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.faults.fault import Fault, Unproven
from tests.faults.machine import settable
from tests.faults.proxy import Proxy
from tests.processes import MOSQUITTO, ROOT, SITE, House

HEARD = [f"{ROOT}/{part}/#" for part in ("alarm", "cap", "grid", "job", "override", "plan", "svc", "tele/site")]
"""All but the halls' sensors, which a test floods."""
SOLVER_S = 4
QUICK = ("control.cycle_s=60", "control.cap_ttl_s=200", f"control.solver_budget_s={SOLVER_S}")
"""At 20 times the clock's speed a plan every 3 s, and caps that last 10 s."""
PATIENCE_S = 12
"""How long two plans may take: they take 6 s, the others are for a machine that has more to do."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "faults" and isinstance(item, pytest.Function) and "fault" not in item.fixturenames:
            if item.name.startswith("test_fault_"):
                raise pytest.UsageError(f"{item.nodeid} does not ask for `fault`, so nothing proves that its fault happens")
            if config.getoption("--no-inject"):
                item.add_marker(pytest.mark.skip(reason="it is of no fault"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    fault = pyfuncitem.funcargs.get("fault")
    if not isinstance(fault, Fault):
        return (yield)
    try:
        result = yield
    except Unproven:
        if fault.injected:
            raise
        return True
    if not fault.injected:
        pytest.fail("it passes without its fault")
    if not fault.proofs:
        pytest.fail("it does not prove that its fault happened")
    return result


class WiredHouse(House):
    """A house whose daemon reaches the broker over `wire`."""

    def reach(self) -> str:
        self.wire = self.stack.enter_context(closing(Proxy(self.port)))
        return self.wire.url


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    return Fault(injected=not request.config.getoption("--no-inject"))


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WiredHouse]:
    if MOSQUITTO is None:
        pytest.skip("needs the Mosquitto broker")
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("faults")
        site = str(shutil.copy(SITE, folder / "site.yaml"))  # one that a test may change
        made = WiredHouse(folder, stack, version="3.1.1", settings=QUICK, patterns=HEARD, env=settable(folder), site=site)
        yield made
        broken = {topic.rpartition("/")[2] for topic in made.ear.newest if "/alarm/invariant-" in topic}
        assert not broken, "whatever happened, nothing that was to be sent broke an invariant"
