"""Agents are small: what they import is neither the plan nor the site file."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"models", "pyomo", "highspy", "scipy", "pandas", "numpy", "pydantic", "pydantic_core"}


def imported(*modules: str) -> set[str]:
    """The packages that a fresh process has once it imported these."""
    ask = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split())


def test_topics_messages_and_the_broker_come_without_what_plans_and_site_files_need() -> None:
    found = imported("facility.bus.messages", "facility.bus.topics", "facility.bus.broker", "facility.bus.mqtt")
    assert {"msgspec", "paho"} <= found
    assert not HEAVY & found
    assert {"pydantic", "numpy"} <= imported("facility.config")
