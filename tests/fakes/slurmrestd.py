"""A slurmrestd of a later version than can be run here, over real HTTP: versions in its OpenAPI document, numbers that are set or not.

Shapes are those of the published OpenAPI documents of v0.0.39 to v0.0.41 (`/openapi/v3`, `/slurm/VERSION/jobs`, `/slurm/VERSION/job/{job_id}`
with `job_desc_msg`, whose `begin_time` is a `uint64_no_val_struct`): https://slurm.schedmd.com/rest_api.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def number(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}


class Slurmrestd:
    """Serves jobs to whoever has the token, and takes updates; `answer` is what it says instead, as status and body, while it is set."""

    def __init__(self, versions: tuple[str, ...], token: str) -> None:
        self.versions, self.token = versions, token
        self.jobs: dict[int, dict[str, Any]] = {}
        self.updates: list[tuple[str, Mapping[str, Any]]] = []
        self.answer: tuple[int, Any] | None = None
        here = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(*here.get(self.path, self.headers.get("X-SLURM-USER-TOKEN")))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._say(*here.post(self.path, body, self.headers.get("X-SLURM-USER-TOKEN")))

            def _say(self, status: int, body: Any) -> None:
                told = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def get(self, path: str, token: str | None) -> tuple[int, Any]:
        if self.answer is not None or token != self.token:
            return self.answer or (401, {"errors": [{"error": "Authentication failure", "error_number": 1007}]})
        if path == "/openapi/v3":
            return 200, {"paths": {f"/slurm/{version}/{what}": {} for version in self.versions for what in ("jobs", "job/{job_id}", "nodes/")}}
        return 200, {"jobs": list(self.jobs.values()), "errors": [], "warnings": [], "last_update": number(1)}

    def post(self, path: str, body: Mapping[str, Any], token: str | None) -> tuple[int, Any]:
        if self.answer is not None or token != self.token:
            return self.answer or (401, {"errors": [{"error": "Authentication failure", "error_number": 1007}]})
        self.updates.append((path, body))
        return 200, {"errors": [], "warnings": [{"description": "nothing of importance"}], "results": []}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
