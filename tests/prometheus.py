"""A real Prometheus in a child process, and its promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.processes import end, free_port, until

PROMTOOL, PROMETHEUS = shutil.which("promtool") or "", shutil.which("prometheus") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="needs Prometheus' promtool")
needs_prometheus = pytest.mark.skipif(not PROMETHEUS, reason="needs Prometheus")


class Prometheus:
    """It scrapes one port every second, and judges the rules of a file."""

    def __init__(self, folder: Path, stack: ExitStack, scraped: int, rules: Path) -> None:
        self._port = free_port()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules.absolute())],
            "scrape_configs": [{"job_name": "facility", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}],
        }
        file = folder / "prometheus.json"  # JSON is YAML
        file.write_text(json.dumps(config))
        command = (PROMETHEUS, f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self._port}")
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(end, self.process)
        assert until(self._ready, 20)

    def ask(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now."""
        return list(self.ask("query", query=expression)["result"])

    def _ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=1):
            return True
        return False
