"""What a site file says of the exchange: faults are told with their place, what was found and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from facility.commands.check import run_check
from facility.config import load_site
from facility.errors import InputError
from facility.sensors import sensors
from facility.telemetry.points import Points
from facility.telemetry.sources import sources

SITE = "site_configs/dallas.yaml"


def test_the_shipped_section_names_sensors_of_its_site_and_is_off_until_the_profile_says_dsx() -> None:
    off, on = load_site(SITE), load_site(SITE, ["bus.profile=dsx"])
    assert [any(isinstance(source, Points) for source in sources(site)) for site in (off, on)] == [False, True]
    assert on.bus.dsx is not None
    known = {f"{sensor.asset_type}/{sensor.asset}/{sensor.point}" for sensor in sensors(on)}
    assert all("{" in point.sensor or point.sensor in known for point in on.bus.dsx.points)


@pytest.mark.parametrize(
    ("setting", "place", "found", "remedy"),
    [
        ("bus.dsx=null", "bus.profile", "nothing says what the site's part in it is", "give bus.dsx, with agent at least"),
        ("bus.dsx.agent=a/b", "bus.dsx.agent", "the text `a/b`", "text that matches"),
        ("bus.dsx.points.0.object_type=PowerMetre", "points.0.object_type", "PowerMetre", "did you mean `PowerMeter`?"),
        ("bus.dsx.points.0.point_type=ActivPower", "points.0.point_type", "ActivPower of a PowerMeter", "did you mean `ActivePower`?"),
        ("bus.dsx.points.0.sensor=meter/mane/import_kw", "points.0.sensor", "no meter `mane`", "did you mean `main`?"),
        ("bus.dsx.points.1.sensor='feeder/{aset}/power_kw'", "points.1.sensor", "`{aset}` is captured nowhere", "in braces as a part of id"),
        ("bus.dsx.points.1.names.U1=ups-9", "points.1.names.U1", "no feeder `ups-9`", "did you mean `ups-1`?"),
        ("bus.dsx.points.1.id='PM-{Asset}'", "points.1.id", "a brace that is not part of {name}", "`{name}` for what is captured"),
        ("bus.dsx.points.3.sum_of=0", "points.3.sum_of", "0", "greater than or equal to 1"),
    ],
)
def test_a_fault_is_told(setting: str, place: str, found: str, remedy: str) -> None:
    with pytest.raises(InputError) as told:
        load_site(SITE, ["bus.profile=dsx", setting])
    fault = next(fault for fault in told.value.faults if place in fault.place)
    assert found in fault.found
    assert remedy in fault.remedy


def test_files_are_named_from_the_site_files_folder(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(Path(SITE).read_text(encoding="utf-8").replace("/etc/facility/", "keys/"), encoding="utf-8")
    dsx = load_site(tmp_path / "site.yaml").bus.dsx
    assert dsx is not None
    assert dsx.signing_key_file == str(tmp_path / "keys/dallas.jwk")
    assert [peer.keys_file for peer in dsx.isvs.values()] == [str(tmp_path / "keys/lone-star-flex.jwks")]


def test_check_warns_of_keys_that_are_missing_and_of_events_that_are_not_signed(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("bus.profile=dsx", "bus.dsx.infra_agents={ima: {}}")
    assert run_check(SITE, settings, schema=False, asyncapi=False, as_json=False) == 0
    said = capsys.readouterr().out
    assert "bus.dsx.signing_key_file: /etc/facility/dallas.jwk" in said
    assert "bus.dsx.isvs.lone-star-flex.keys_file: /etc/facility/lone-star-flex.jwks" in said
    assert "bus.dsx.infra_agents.ima: what it sends is not signed" in said
