"""Slurm by slurmrestd: JSON over HTTP or a unix socket, from v0.0.38 (Slurm 22.05) on; the only file that knows the HTTP library.

The newest version that it offers is found in its OpenAPI document. v0.0.38 takes a begin time as text, later ones as a number that is set.
It has no way to requeue, suspend or resume: for these there is `scontrol`, where the machine has it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from facility.agents.slurm.commands import PATIENCE_S, Commands, is_silence, start_time
from facility.agents.slurm.job import Away, Refused, SlurmJob
from facility.agents.slurm.reading import errors_in, read_jobs

TEXT_UNTIL: Final = 38
"""The last version that takes a begin time as text."""
KNOWN: Final = 38
"""The oldest version that is understood."""


class Rest:
    """A `Slurm` behind slurmrestd. `token` gives the token anew for each request, None where a unix socket needs none."""

    def __init__(self, url: str, user: str, token: Callable[[], str | None]) -> None:
        socket = url.removeprefix("unix:") if url.startswith("unix:") else None
        transport = httpx.HTTPTransport(uds=socket) if socket is not None else httpx.HTTPTransport()
        self._client = httpx.Client(base_url="http://localhost" if socket else url, transport=transport, timeout=PATIENCE_S, trust_env=False)
        self._user, self._token = user, token
        self._version: int | None = None
        self._beside = Commands() if shutil.which("scontrol") else None

    def jobs(self) -> tuple[SlurmJob, ...]:
        """See `Slurm.jobs`."""
        try:
            return read_jobs(self._ask("GET", "jobs"), datetime.now(UTC))
        except Refused as refusal:
            raise Away(str(refusal)) from refusal

    def change(self, job: SlurmJob, comment: str, begin: datetime | None) -> None:
        """See `Slurm.change`."""
        wanted: dict[str, Any] = {"comment": comment}
        if begin is not None:
            wanted["begin_time"] = self._begin(begin)
        self._ask("POST", f"job/{quote(job.address, safe='')}", wanted)

    def requeue(self, job: SlurmJob) -> None:
        """See `Slurm.requeue`."""
        self._commands().requeue(job)

    def suspend(self, job: SlurmJob) -> None:
        """See `Slurm.suspend`."""
        self._commands().suspend(job)

    def resume(self, job: SlurmJob) -> None:
        """See `Slurm.resume`."""
        self._commands().resume(job)

    def _commands(self) -> Commands:
        if self._beside is None:
            raise Refused("slurmrestd has no way to stop a job that runs, and there is no scontrol on this machine")
        return self._beside

    def _begin(self, begin: datetime) -> Any:
        if (self._version or 0) <= TEXT_UNTIL:
            return start_time(begin)
        return {"set": True, "infinite": False, "number": round(max(begin, datetime.now(UTC)).timestamp())}

    def _ask(self, method: str, what: str, body: Any = None) -> Any:
        if self._version is None:
            self._version = _newest(self._send("GET", "/openapi/v3", None))
        try:
            return self._send(method, f"/slurm/v0.0.{self._version}/{what}", body)
        except Away:
            self._version = None  # it may come back as another
            raise

    def _send(self, method: str, path: str, body: Any) -> Any:
        headers = {"X-SLURM-USER-NAME": self._user}
        if (token := self._token()) is not None:
            headers["X-SLURM-USER-TOKEN"] = token
        try:
            answer = self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Away(f"slurmrestd: {error or type(error).__name__}") from error
        try:
            told = answer.json()
        except (ValueError, RecursionError):
            raise Away(f"slurmrestd: {answer.status_code} {answer.reason_phrase}") from None
        if (found := errors_in(told)) or answer.is_error:
            said = found or f"{answer.status_code} {answer.reason_phrase}"
            raise Away(said) if is_silence(said) or answer.status_code in {401, 403, 404, 429, 503} else Refused(said)
        return told


def _newest(document: Any) -> int:
    """The newest version in an OpenAPI document. Raises Away where there is none that is understood."""
    found = {int(version) for version in re.findall(r"/slurm/v0\.0\.(\d+)/jobs", json.dumps(document))}
    if not (known := [version for version in found if version >= KNOWN]):
        raise Away(f"slurmrestd offers {', '.join(f'v0.0.{version}' for version in sorted(found)) or 'no jobs'}; v0.0.{KNOWN} is needed")
    return max(known)
