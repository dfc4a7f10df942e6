"""AMD's driver, stood in for at the level of its library's functions, with what they return on real machines."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from facility.agents.gpu.amd import Amd
from facility.agents.gpu.device import UNLIMITED_W, Gpu, Lost, Reading, Refused
from facility.agents.gpu.start import opened
from facility.errors import InputError

CAP = {"power_cap": 750_000_000, "default_power_cap": 750_000_000, "dpm_cap": 2100, "min_power_cap": 0, "max_power_cap": 750_000_000}
POWER = {"socket_power": 412, "current_socket_power": 412, "average_socket_power": "N/A", "gfx_voltage": 0, "power_limit": 750}


class AmdSmiException(Exception):
    def __init__(self, err_code: int = 0) -> None:
        super().__init__(f"Error code:\n\t{err_code} | AMDSMI_STATUS")
        self.err_code = err_code


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two GPUs; `fail` is the error that every call on the second one ends in."""
    state = SimpleNamespace(caps=[dict(CAP), dict(CAP)], power=[dict(POWER), dict(POWER)], fail=0, closed=False)

    def of(kind: str) -> Any:
        def asked(handle: int) -> Any:
            if handle == 1 and state.fail:
                raise AmdSmiException(state.fail)
            return getattr(state, kind)[handle]

        return asked

    def write(handle: int, sensor: int, cap: int) -> None:
        of("caps")(handle)
        state.caps[handle]["power_cap"] = cap

    fake = ModuleType("amdsmi")
    for name, stand_in in {
        "AmdSmiException": AmdSmiException,
        "amdsmi_init": lambda: None,
        "amdsmi_shut_down": lambda: setattr(state, "closed", True),
        "amdsmi_get_processor_handles": lambda: [0, 1],
        "amdsmi_get_gpu_device_uuid": lambda handle: f"uuid-{handle}",
        "amdsmi_get_power_cap_info": of("caps"),
        "amdsmi_get_power_info": of("power"),
        "amdsmi_set_power_cap": write,
    }.items():
        setattr(fake, name, stand_in)
    monkeypatch.setitem(sys.modules, "amdsmi", fake)
    return state


def amd(*wanted: str) -> Amd:
    return Amd("n", wanted)


def test_caps_are_microwatts_for_the_driver_and_watts_for_us(driver: Any) -> None:
    here = amd()
    assert here.gpus()[0] == Gpu("uuid-0", "n/0", 0, 750, 750)
    here.limit(here.gpus()[0], 500)
    assert driver.caps[0]["power_cap"] == 500_000_000
    assert here.read(here.gpus()[0]) == Reading(500, 500, 412.0)
    here.close()
    assert driver.closed


def test_what_a_gpu_does_not_tell_is_not_known(driver: Any) -> None:
    here = amd("1")
    driver.power[1] = dict.fromkeys(POWER, "N/A")
    assert here.read(here.gpus()[0]).draw_w is None
    assert [gpu.name for gpu in here.gpus()] == ["n/1"]


@pytest.mark.parametrize(("code", "kind"), [(10, Refused), (2, Refused), (31, Lost), (33, Lost)])
def test_errors_are_refusals_or_losses(driver: Any, code: int, kind: type[Exception]) -> None:
    here = amd()
    driver.fail = code
    with pytest.raises(kind, match=f"Error code: {code} "):
        here.limit(here.gpus()[1], 500)
    with pytest.raises(kind):
        here.read(here.gpus()[1])


def test_a_guest_has_nothing_to_set(driver: Any) -> None:
    driver.caps[0] |= {"min_power_cap": 0, "max_power_cap": 0}
    driver.fail = 2
    for gpu in amd().gpus():
        assert gpu.cannot
        assert gpu.highest_w == UNLIMITED_W


def test_gpus_that_are_not_here_are_refused(driver: Any) -> None:
    with pytest.raises(InputError, match="no GPU 7 here"):
        amd("7")


def test_a_machine_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(InputError, match="install ROCm"):
        opened("amd", "n", ())
