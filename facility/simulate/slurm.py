"""A Slurm of one's own: munged, slurmctld, a slurmd for each node and slurmrestd, on loopback, in one folder, on free ports.

Everything is Slurm's own and real but the hardware: nodes have as many CPUs as it takes, and GPUs are links to /dev/null. It runs as whoever
starts it. A node has at most 1,024 GPUs, the most that Slurm counts one by one. slurmrestd refuses to run as root and is somebody else then.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from facility.errors import Fault, InputError

PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
READY_S: Final = 30.0
NOBODY: Final = "nobody"
MOST_GPUS: Final = 1024

CONFIGURATION = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
{tokens}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmctldTimeout=300
MessageTimeout=2
ReturnToService=2
MinJobAge={forgets_s}
KillWait=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
"""


def missing(*, rest: bool = False) -> tuple[str, ...]:
    """Programs that are not on this machine and would be needed, `rest` for slurmrestd and its tokens."""
    found = [name for name in (*PROGRAMS, *(("slurmrestd",) if rest else ())) if program(name) is None]
    return (*found, *(("auth_jwt",) if rest and not _tokens() else ()))


def program(name: str) -> str | None:
    """Where a program is, also those for administrators."""
    return shutil.which(name, path=PATH)


def _plugins(pattern: str) -> list[str]:
    """The plugins of Slurm on this machine whose names fit, in order of their versions."""
    places = [Path(folder) for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib")]
    found = [path.stem for place in places for depth in ("", "*/") for path in place.glob(f"{depth}slurm*/{pattern}.so")]
    return sorted(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def _tokens() -> bool:
    """Whether Slurm can take tokens here; Debian has a package of its own for that."""
    return bool(_plugins("auth_jwt"))


def free_port() -> int:
    """A port of this machine that nobody uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateSlurm:
    """A cluster in a folder that others may enter. `nodes` are partitions and the GPUs of the one node of each.

    It runs once `start` has returned. `environment` is what Slurm's commands need to find it. Jobs that ended are known for `forgets_s`.
    """

    def __init__(
        self, folder: Path, nodes: Mapping[str, int], *, rest: bool = False, forgets_s: int = 300, job_submit: str | None = None
    ) -> None:
        if lacking := missing(rest=rest):
            raise InputError(Fault("Slurm", f"no {', no '.join(lacking)} on this machine", "apt-get install slurm-wlm munge, or make slurm"))
        self.folder, self.nodes, self._rest = folder, dict(nodes), rest
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        self.controller_port, self.rest_port = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._configure(forgets_s, job_submit)

    @property
    def url(self) -> str:
        """Where slurmrestd is."""
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def socket_url(self) -> str:
        """Where it is besides, as a unix socket."""
        return f"unix:{self.folder}/rest/slurmrestd.sock"

    def start(self) -> None:
        """Start everything, and wait until the nodes are there."""
        self._child("munged", *self._munged())
        self._until((self.folder / "munge.socket").exists, "munged")
        self.start_controller()
        for node in self.nodes:
            self._child(f"slurmd-{node}", "slurmd", "-D", "-N", node)
        self._until(self._idle, "its nodes")
        if self._rest:
            self._start_rest()

    def start_controller(self) -> None:
        """Start slurmctld with what it knew, and wait until it answers."""
        self._child("slurmctld", "slurmctld", "-D", "-i")
        self._until(lambda: self.ask("scontrol", "ping").returncode == 0, "slurmctld")

    def end(self, name: str) -> None:
        """Stop one of the processes as a restart does: what slurmctld knows is saved."""
        self.processes[name].terminate()
        self.processes.pop(name).wait(30)

    def stop(self) -> None:
        """Kill everything, jobs as well: nothing of it is needed any more."""
        for child in self.processes.values():
            child.kill()
        for child in self.processes.values():
            child.wait()
        self.processes.clear()
        for process in self._left():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _left(self) -> list[int]:
        """Processes of jobs: Slurm starts them apart from all others, with our folder in their environment."""
        found, ours = [], f"{self.folder}/".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if ours in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                    found.append(int(process.name))
        return found

    def ask(self, *command: str, told: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's commands."""
        path = program(command[0]) or command[0]
        environment = os.environ | self.environment
        return subprocess.run(
            [path, *command[1:]], check=False, capture_output=True, text=True, input=told, env=environment, cwd=self.folder, timeout=30
        )

    def submit(self, script: str, *options: str) -> int:
        """Submit a script; the number of its job. Raises InputError where Slurm refuses it."""
        ended = self.ask("sbatch", "--parsable", "--output=/dev/null", *options, told=script)
        if ended.returncode:
            raise InputError(Fault("sbatch", ended.stderr.strip(), "look at slurmctld.log"))
        return int(ended.stdout.partition(";")[0])

    def token(self, user: str, lasts_s: int = 3600) -> str:
        """A token with which slurmrestd takes one for `user`, signed with the cluster's key (RFC 7515, HS256)."""
        import hmac

        now = int(time.time())
        parts = ({"alg": "HS256", "typ": "JWT"}, {"iat": now, "exp": now + lasts_s, "sun": user})
        signed = b".".join(_url_safe(json.dumps(part).encode()) for part in parts)
        return b".".join((signed, _url_safe(hmac.digest((self.folder / "jwt.key").read_bytes(), signed, "sha256")))).decode()

    def _configure(self, forgets_s: int, job_submit: str | None) -> None:
        folder = self.folder
        for name in ("state", "gpus"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in ("munge.key", "jwt.key"):
            (folder / name).write_bytes(secrets.token_bytes(128))
            (folder / name).chmod(0o600)
        if job_submit is not None:
            (folder / "job_submit.lua").write_text(job_submit)
        settings = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0], user=self.user, controller_port=self.controller_port, folder=folder,
            forgets_s=forgets_s, tokens=f"AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key={folder}/jwt.key" if self._rest else "",
        )  # fmt: skip
        lines = [settings + ("JobSubmitPlugins=lua" if job_submit is not None else "")]
        gres = ["AutoDetect=off"]
        for index in range(max(self.nodes.values(), default=0)):
            (folder / "gpus" / f"gpu{index}").symlink_to("/dev/null")
        for node, gpus in self.nodes.items():
            lines.append(
                f"NodeName={node} NodeHostname={socket.gethostname().partition('.')[0]} NodeAddr=127.0.0.1 Port={free_port()} "
                f"CPUs=4096 Gres=gpu:{gpus} State=UNKNOWN"
            )
            gres.append(f"NodeName={node} Name=gpu File={folder}/gpus/gpu[0-{min(gpus, MOST_GPUS) - 1}]")
        lines += [f"PartitionName={node} Nodes={node} MaxTime=INFINITE State=UP" for node in self.nodes]
        (folder / "slurm.conf").write_text("\n".join((*lines, "")))
        (folder / "gres.conf").write_text("\n".join((*gres, "")))

    def _munged(self) -> Sequence[str]:
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
        return ("munged", "--foreground", "--force", *(f"--{option}={self.folder}/{name}" for option, name in files.items()))

    def _start_rest(self) -> None:
        somebody = NOBODY if os.geteuid() == 0 else None
        (self.folder / "rest").mkdir(exist_ok=True)
        if somebody is not None:
            shutil.chown(self.folder / "rest", somebody)
        versions = _plugins("openapi_v0_0_*")  # one for jobs alone: others want an accounting database
        serves = versions[-1].replace("openapi_", "openapi/").replace("_", ".") if versions else "slurmctld"
        options = ("-f", str(self.folder / "slurm.conf"), "-a", "rest_auth/jwt", "-s", serves, f"127.0.0.1:{self.rest_port}", self.socket_url)
        self._child("slurmrestd", "slurmrestd", *options, somebody=somebody, environment={"SLURM_JWT": "daemon"})
        self._until(self._listens, "slurmrestd")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.rest_port), 1).close()
        except OSError:
            return False
        return True

    def _idle(self) -> bool:
        told = self.ask("sinfo", "--noheader", "--Node", "--format=%T")
        return told.returncode == 0 and told.stdout.split() == ["idle"] * len(self.nodes)

    def _child(self, name: str, *command: str, somebody: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        """Start a program; what it says goes to a log file."""
        group = pwd.getpwnam(somebody).pw_gid if somebody else None
        with (self.folder / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [program(command[0]) or command[0], *command[1:]],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, user=somebody, group=group, start_new_session=True,
                extra_groups=() if somebody else None, env=os.environ | self.environment | dict(environment or {}),
            )  # fmt: skip

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds. Raises InputError where it does not within `READY_S`, or a part of it has died."""
        began = time.monotonic()
        while not holds():
            dead = next((name for name, child in self.processes.items() if child.poll() is not None), None)
            if dead is not None or time.monotonic() - began > READY_S:
                name = dead or list(self.processes)[-1]
                said = (self.folder / f"{name}.out").read_text(errors="replace").strip().splitlines()[-3:]
                found = f"{dead} ended" if dead else f"no {what} after {READY_S:g} s"
                raise InputError(Fault("Slurm", f"{found}: {' / '.join(said)}", f"look at the logs in {self.folder}"))
            time.sleep(0.05)


def _url_safe(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
