"""A management controller as real ones answer: an HTTP service with sessions, ETags, tasks, and the troubles that they have.

Shapes are those of HGX H100 and B200 baseboards (EnvironmentMetrics of processors), of GB200 trays (the same, other names, and a chassis for each
GPU), and of servers that keep GPU limits as controls of a chassis.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

V1 = "/redfish/v1"
Json = dict[str, Any]


def links(*paths: str) -> list[Json]:
    return [{"@odata.id": path} for path in paths]


def collection(path: str, *members: str) -> Json:
    return {"@odata.id": path, "Members": links(*members), "Members@odata.count": len(members)}


def metrics(path: str, lowest_w: int = 200, highest_w: int = 700) -> Json:
    limit = {"AllowableMin": lowest_w, "AllowableMax": highest_w, "ControlMode": "Automatic", "DefaultSetPoint": highest_w, "SetPoint": highest_w}
    return {"@odata.id": path, "PowerWatts": {"Reading": 311.5}, "PowerLimitWatts": limit, "TemperatureCelsius": {"Reading": 41}}


def hgx(gpus: int = 8, system: str = "HGX_Baseboard_0", name: str = "GPU_SXM_{}", first: int = 1) -> dict[str, Json]:
    """Resources of an H100 or B200 baseboard, beside its host's own system that has CPUs alone."""
    processors = f"{V1}/Systems/{system}/Processors"
    paths = [f"{processors}/{name.format(first + i)}" for i in range(gpus)]
    found = {
        V1: {"@odata.id": V1, "Systems": links(f"{V1}/Systems")[0], "Chassis": links(f"{V1}/Chassis")[0]},
        f"{V1}/Systems": collection(f"{V1}/Systems", f"{V1}/Systems/DGX", f"{V1}/Systems/{system}"),
        f"{V1}/Systems/DGX": {"@odata.id": f"{V1}/Systems/DGX", "Processors": links(f"{V1}/Systems/DGX/Processors")[0]},
        f"{V1}/Systems/DGX/Processors": collection(f"{V1}/Systems/DGX/Processors", f"{V1}/Systems/DGX/Processors/CPU0"),
        f"{V1}/Systems/DGX/Processors/CPU0": {"ProcessorType": "CPU", "EnvironmentMetrics": links(f"{V1}/cpu")[0]},
        f"{V1}/cpu": metrics(f"{V1}/cpu"),
        f"{V1}/Systems/{system}": {"Processors": links(processors)[0]},
        processors: collection(processors, *reversed(paths)),
        f"{V1}/Chassis": collection(f"{V1}/Chassis"),
    }
    for path in paths:
        found[path] = {"@odata.id": path, "ProcessorType": "GPU", "EnvironmentMetrics": links(f"{path}/EnvironmentMetrics")[0]}
        found[f"{path}/EnvironmentMetrics"] = metrics(f"{path}/EnvironmentMetrics")
    return found


def gb200(gpus: int = 4) -> dict[str, Json]:
    """A tray: GPUs by another name, and for each a chassis with a limit of its own, which is the power of the whole module."""
    found = hgx(gpus, name="GPU_{}", first=0)
    chassis = [f"{V1}/Chassis/HGX_GPU_{i}" for i in range(gpus)]
    found[f"{V1}/Chassis"] = collection(f"{V1}/Chassis", *chassis, f"{V1}/Chassis/Module_0")
    for i, path in enumerate(chassis):
        gpu = f"{V1}/Systems/HGX_Baseboard_0/Processors/GPU_{i}"
        found[path] = {"Links": {"Processors": links(gpu)}, "EnvironmentMetrics": links(f"{path}/EnvironmentMetrics")[0]}
        found[f"{path}/EnvironmentMetrics"] = metrics(f"{path}/EnvironmentMetrics", 200, 1200)
        found[f"{gpu}/EnvironmentMetrics"] = metrics(f"{gpu}/EnvironmentMetrics", 200, 1200)
    both = [f"{V1}/Systems/HGX_Baseboard_0/Processors/GPU_{i}" for i in range(gpus)]
    found[f"{V1}/Chassis/Module_0"] = {"Links": {"Processors": links(*both)}, "EnvironmentMetrics": links(f"{V1}/module")[0]}
    found[f"{V1}/module"] = metrics(f"{V1}/module", 1000, 9000)
    return found


def controls(gpus: int = 2) -> dict[str, Json]:
    """A server whose GPUs are processors without metrics, and whose chassis has a control for each, switched off at first."""
    found = hgx(gpus, "1", "GPU{}")
    paths = [f"{V1}/Chassis/1/Controls/GPU{i + 1}_PowerLimit" for i in range(gpus)]
    fan = f"{V1}/Chassis/1/Controls/Fan"
    found[f"{V1}/Chassis"] = collection(f"{V1}/Chassis", f"{V1}/Chassis/1")
    found[f"{V1}/Chassis/1"] = {"Controls": links(f"{V1}/Chassis/1/Controls")[0]}
    found[f"{V1}/Chassis/1/Controls"] = collection(f"{V1}/Chassis/1/Controls", fan, *paths)
    found[fan] = {"@odata.id": fan, "ControlType": "Percent", "SetPoint": 50}
    for i, path in enumerate(paths):
        gpu = f"{V1}/Systems/1/Processors/GPU{i + 1}"
        del found[gpu]["EnvironmentMetrics"], found[f"{gpu}/EnvironmentMetrics"]
        found[path] = {
            "@odata.id": path, "ControlType": "Power", "ControlMode": "Disabled", "SetPoint": None, "SetPointUnits": "W", "AllowableMin": 200,
            "AllowableMax": 700, "RelatedItem": links(f"{V1}/Chassis/1", gpu), "Sensor": {"Reading": 250.0},
        }  # fmt: skip
    return found


class Controller:
    """A running one. `task_s` makes changes tasks that take so long, `busy` answers the next requests with 503, `rude` forgets sessions,
    `refuse` answers changes with 400, `change` changes a resource between a reading and what is sent then.
    """

    def __init__(self, resources: dict[str, Json], port: int = 0) -> None:
        self.resources, self.versions = resources, dict.fromkeys(resources, 0)
        self.task_s, self.busy, self.refuse, self.latency_s, self.ignore = 0.0, 0, False, 0.0, False
        self.change = 0
        self.sessions: set[str] = set()
        self.connections: list[socket.socket] = []
        self.tasks: dict[str, tuple[float, str, Json]] = {}
        self.logins = self.patches = self.logouts = 0
        self.port = port
        self.start()

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler(self))
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Go away, with every connection; sessions are forgotten."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()
        self.sessions.clear()

    def limits(self) -> list[int | None]:
        """Every limit there is, in the order of their paths."""
        every = [self.resources[path] for path in sorted(self.resources)]
        found = [told.get("PowerLimitWatts", told) for told in every if "PowerLimitWatts" in told or told.get("ControlType") == "Power"]
        return [limit["SetPoint"] for limit in found]

    def apply(self, path: str, body: Json) -> None:
        if not self.ignore:
            into = self.resources[path]
            for key, value in body.items():
                into[key] = into[key] | value if isinstance(value, dict) else value
            self.versions[path] += 1


def handler(bmc: Controller) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet

        def setup(self) -> None:
            super().setup()
            bmc.connections.append(self.connection)

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, code: int, body: Json | None = None, **headers: str) -> None:
            told = b"" if body is None else json.dumps(body).encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def refuse(self, code: int, why: str, **headers: str) -> None:
            self.answer(code, {"error": {"code": "Base.1.8", "message": "see", "@Message.ExtendedInfo": [{"Message": why}]}}, **headers)

        def body(self) -> Json:
            return dict(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}"))

        def allowed(self) -> bool:
            time.sleep(bmc.latency_s)
            if bmc.busy:
                bmc.busy -= 1
                self.refuse(503, "busy", Retry_After="0")
            elif self.headers.get("X-Auth-Token") not in bmc.sessions:
                self.refuse(401, "no session")
            else:
                return True
            return False

        def do_POST(self) -> None:
            told = self.body()
            if told != {"UserName": "facility", "Password": "secret"}:
                return self.refuse(401, "wrong")
            bmc.logins += 1
            bmc.sessions.add(token := f"token-{bmc.logins}")
            return self.answer(201, {}, X_Auth_Token=token, Location=f"{V1}/SessionService/Sessions/{bmc.logins}")

        def do_DELETE(self) -> None:
            bmc.logouts += 1
            self.answer(204)

        def do_GET(self) -> None:
            if not self.allowed():
                return None
            if self.path in bmc.tasks:
                due, path, change = bmc.tasks[self.path]
                if time.monotonic() < due:
                    return self.answer(202, {"TaskState": "Running"}, Retry_After="0", Location=self.path)
                del bmc.tasks[self.path]
                bmc.apply(path, change)
                return self.answer(200, {"TaskState": "Completed"})
            if self.path not in bmc.resources:
                return self.refuse(404, "no such thing")
            etag = f'"{bmc.versions.get(self.path, 0)}"'
            self.answer(200, bmc.resources[self.path], ETag=etag)
            if bmc.change:
                bmc.change -= 1
                bmc.versions[self.path] += 1
            return None

        def do_PATCH(self) -> None:
            change = self.body()
            if not self.allowed():
                return None
            bmc.patches += 1
            if bmc.refuse:
                return self.refuse(400, "this GPU's limit is not for you")
            if self.headers.get("If-Match") != f'"{bmc.versions[self.path]}"':
                return self.refuse(412, "changed meanwhile")
            if bmc.task_s:
                task = f"{V1}/TaskService/TaskMonitors/{bmc.patches}"
                bmc.tasks[task] = (time.monotonic() + bmc.task_s, self.path, change)
                return self.answer(202, {"TaskState": "New"}, Location=task, Retry_After="0")
            bmc.apply(self.path, change)
            return self.answer(200, bmc.resources[self.path])

    return Handler
