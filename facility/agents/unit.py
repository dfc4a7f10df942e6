"""Unit: the systemd service that keeps an agent running and lets it do nothing else (systemd.exec(5), systemd.resource-control(5)).

An agent that is killed or dies is begun again within a second; what it had set holds meanwhile, and so does the end of each order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from facility.systemd import SHUT, plain, program, quoted

FILES: Final = frozenset(
    ["--ca-file", "--cert-file", "--tls-key-file", "--key-file", "--password-file", "--nodes", "--token-file", "--kubeconfig"]
)
"""Options whose value is a file, which a service needs by its whole path."""
DEVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "nvml": ("/dev/nvidiactl", "/dev/nvidia-uvm", "char-nvidia", "char-nvidia-frontend"),
    "amd": ("/dev/kfd", "char-drm"),
}
"""What agents that set limits of this machine open, as root; the others need neither."""
MEMORY_MB: Final = 512


def unit(kind: str, site: str, arguments: Sequence[str]) -> str:
    """Write the unit of `facility agent KIND` with the options that it is asked with; a site file is a whole path by then."""
    command = " ".join(map(quoted, [*program(), "agent", kind, *whole(arguments)]))
    name = f"facility-agent-{kind}-{site}"
    return f"""\
# {name}.service. Made by `facility agent {kind} ... --unit`; it belongs into /etc/systemd/system.
# Before the first start:   {"systemctl daemon-reload" if kind in DEVICES else "useradd --system facility; systemctl daemon-reload"}
#                           systemctl enable --now {name}
# A password that stands in the environment goes into /etc/facility/agent.env, which only root may read: FACILITY_PASSWORD=...
[Unit]
Description=Agent {plain(kind)} of {plain(site)}
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
EnvironmentFile=-/etc/facility/agent.env
Restart=always
RestartSec=1
TimeoutStopSec=45
{_rights(kind)}
# It writes nothing.
UMask=0077
{SHUT}
MemoryMax={MEMORY_MB}M
TasksMax=256

[Install]
WantedBy=multi-user.target"""


def whole(arguments: Sequence[str]) -> list[str]:
    """The options with whole paths, and without the one that asks for a unit."""
    words = [word for word in arguments if word != "--unit"]
    found = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        if before in FILES or (option in FILES and equals):
            path = str(Path(value if equals and before not in FILES else word).absolute())
            found.append(f"{option}={path}" if equals and before not in FILES else path)
        else:
            found.append(word)
    return found


def _rights(kind: str) -> str:
    """Who it is, and what it may open."""
    if kind not in DEVICES:
        rights = ("User=facility", "PrivateDevices=yes", "ProtectKernelTunables=yes", "CapabilityBoundingSet=", "SystemCallFilter=@system-service")
        return "\n".join(("", "# It speaks to the broker and to what it drives.", *rights, "SystemCallErrorNumber=EPERM", ""))
    said = (f"DeviceAllow={device} rw" for device in DEVICES[kind])
    bounds = "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE"
    return "\n".join(("", "# Drivers let root alone set limits: it may open their devices, and no others.", "DevicePolicy=closed", *said, bounds, ""))
