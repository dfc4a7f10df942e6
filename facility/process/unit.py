"""Unit: the systemd service that keeps `facility run` running and lets it do nothing else (systemd.service(5), systemd.exec(5)).

`Type=notify` with `ExecReload` works from systemd 240 on; `notify-reload`, which says the same in one word, came with 253.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facility.daemon.watchdog import DEAD_S
from facility.site import Site
from facility.systemd import SHUT, plain, program, quoted

STOP_S = 15
"""How long a stop may take: a solve is cut off at once, what is on its way to the broker and the disk gets its seconds."""
BASE_MB, PER_POOL_MB = 2048, 32


def unit(site: Site, site_file: str | Path, settings: Sequence[str] = ()) -> str:
    """Write the unit for a site file, run as it is checked: with the same `--set`, by the same program."""
    file = Path(site_file).absolute()
    words = [*program(), "run", str(file), *(word for setting in settings for word in ("--set", setting))]
    command = " ".join(quoted(word) for word in words)
    return f"""\
# facility-{site.id}.service. Made by `facility check SITE --unit`; it belongs into /etc/systemd/system.
# Before the first start:   useradd --system facility
#                           systemctl daemon-reload && systemctl enable --now facility-{site.id}
# A changed site file:      systemctl reload facility-{site.id}
# Metrics for Prometheus:   --metrics 9464 at the end of ExecStart, and /healthz and /readyz there
# Two of which one waits:   the same file as facility-{site.id}-spare.service, and --standby at the end of ExecStart of both
[Unit]
Description=Power of {plain(site.name)}
Wants=network-online.target
After=network-online.target mosquitto.service time-sync.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command} --state %S/facility/{site.id}.sqlite
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec={DEAD_S:g}
Restart=always
RestartSec=1
TimeoutStopSec={STOP_S}

# It may write its journal and its history, and nothing else.
User=facility
StateDirectory=facility
StateDirectoryMode=0750
UMask=0027
PrivateDevices=yes
ProtectKernelTunables=yes
{SHUT}

# It speaks to the broker, to exporters and to the database, and needs no privilege for it.
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

# What it takes is bounded. A solver that takes too much is killed alone: the daemon holds the last plan and begins another.
MemoryMax={BASE_MB + PER_POOL_MB * len(site.pools)}M
OOMPolicy=continue
OOMScoreAdjust=-500
LimitNOFILE=4096
TasksMax=256

[Install]
WantedBy=multi-user.target"""
