"""What the console takes where much is told: 200 pools, 10,000 jobs, 50 browsers, everything told anew each second.

    python -m tests.bench.console [SECONDS]

One browser is a real one. It tells when the page can be used, and when a number that was published is seen; 49 are sockets that take what a
browser takes. A number waits until what is told with it has come, and for the next frame.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import socketio
from playwright.sync_api import sync_playwright

from facility.bus.interface import Message
from facility.bus.messages import CapDesired, JobDesired, JobReported, JobSpec, PlanCurrent, PlanStep, Sample, Status, encode
from facility.bus.mqtt import MqttBus
from facility.bus.topics import Topics
from facility.clock import milliseconds
from tests.browser.served import serve
from tests.processes import Mosquitto, until

POOLS, JOBS, BROWSERS, TOLD_JOBS = 200, 10_000, 50, 1000
"""`TOLD_JOBS` report each second, beside every pool, its cap, every hall and the meter."""
HALLS = 20
TOPICS = Topics("facility/v1", "large")


def a_large_site(file: Path) -> None:
    curve = {"points": [{"cap_w": 200, "draw_w": 180, "speed": 1}], "source": "made up"}
    thermal = {
        "heat_capacity_kwh_per_k": 100, "resistance_k_per_kw": 1, "start_c": 24, "recommended_min_c": 18, "recommended_max_c": 27,
        "allowable_max_c": 35, "cooling_plant": "plant",
    }  # fmt: skip
    site = {
        "id": "large", "name": "Large site", "timezone": "Europe/Berlin", "currency": "EUR",
        "grid": {"import_limit_kw": 60_000}, "tariff": {"energy_price_per_mwh": 80}, "weather": {"outdoor_by_hour_c": [20] * 24},
        "gpu_models": {"big": {"min_cap_w": 200, "max_cap_w": 700, "idle_w": 60, "curves": {"train": curve}}},
        "feeders": {"utility": {"rating_kw": 100_000}} | {f"f{i}": {"rating_kw": 500, "parent": "utility"} for i in range(POOLS)},
        "halls": {f"h{i}": {"feeder": "utility", "thermal": thermal} for i in range(HALLS)},
        "cooling_plants": {"plant": {"feeder": "utility", "design_heat_kw": 9e4, "max_heat_kw": 1e5, "cop_at_25c": 5, "pump_kw": 1, "fan_kw": 1}},
        "pools": {f"p{i}": {"hall": f"h{i % HALLS}", "feeder": f"f{i}", "gpu_model": "big", "gpus": 500} for i in range(POOLS)},
        "jobs": {"curve": "train"},
    }  # fmt: skip
    file.write_text(json.dumps(site))  # which is YAML too


class Told(threading.Thread):
    """Tells all there is, then what changes, each second. `sent` is when each number of the meter was published."""

    def __init__(self, bus: MqttBus) -> None:
        super().__init__(daemon=True)
        self.bus, self.over, self.sent = bus, False, dict[int, float]()

    def order(self, i: int) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {"epoch": 1, "seq": i + 1, "issued_at": now, "valid_until": now + timedelta(minutes=15)}

    def run(self) -> None:
        now = datetime.now(UTC)
        steps = tuple(
            PlanStep(time=now + timedelta(hours=i / 2), hours=0.5, import_kw=50_000 + i, import_limit_kw=60_000, price_per_mwh=80 + i, it_kw=40_000)
            for i in range(96)
        )
        plan = PlanCurrent(plan_id="p", issued_at=now, site="large", currency="EUR", mode="NORMAL", steps=steps, energy_cost=1.0, saving_pct=1.0)
        self.tell(TOPICS.plan(), plan, retain=True)
        for i in range(JOBS):
            self.tell(TOPICS.job(f"j{i}", "spec"), JobSpec(submit=now, gpus=8, work_gpu_h=100, pool=f"p{i % POOLS}"), retain=True)
            order = JobDesired(**self.order(i), action="run" if i % 3 else "hold", gpus=8, reason="so")
            self.tell(TOPICS.job(f"j{i}", "desired"), order, retain=True)
            self.report(i, 0)
        n = 0
        while not self.over:
            began = time.monotonic()
            n += 1
            for i in range(POOLS):
                self.tell(TOPICS.cap_desired(f"h{i % HALLS}", f"p{i}"), CapDesired(**self.order(n), cap_w=300 + (i + n) % 300, fallback_cap_w=200))
                self.read(f"h{i % HALLS}", "pool", f"p{i}", "it_power_kw", 200.0 + (i + n) % 50)
            for i in range(HALLS):
                self.read(f"h{i}", "hall", f"h{i}", "air_temperature_c", 24 + (i + n) % 9 / 10)
            for i in range(TOLD_JOBS):
                self.report((n * TOLD_JOBS + i) % JOBS, n)
            self.sent[40_000 + n] = time.time()
            self.read("site", "meter", "main", "import_kw", 40_000.0 + n)
            beat = milliseconds(datetime.now(UTC))
            self.tell(TOPICS.status("facility-1"), Status(instance="facility-1", mode="NORMAL", heartbeat=beat, reason="so"))
            time.sleep(max(began + 1 - time.monotonic(), 0))

    def report(self, job: int, n: int) -> None:
        told = JobReported(timestamp=milliseconds(datetime.now(UTC)), state="running" if job % 3 else "waiting", done_gpu_h=n % 100)
        self.tell(TOPICS.job(f"j{job}", "reported"), told, retain=True)

    def read(self, hall: str, kind: str, asset: str, point: str, value: float) -> None:
        self.tell(TOPICS.tele(hall, kind, asset, point), Sample(value, milliseconds(datetime.now(UTC))))

    def tell(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        while not self.bus.publish(Message(topic, encode(payload), 0, retain)):
            time.sleep(0.01)


async def look(url: str, browsers: int, seconds: float, taken: list[int], joined: threading.Event) -> None:
    """So many sockets that take what browsers take for so long once all have `joined`; bytes in `taken`."""
    clients = []
    for _ in range(browsers):
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).read().decode())
        client_id = re.search(r"""client_id['"]?: ?['"]([\w-]+)""", page)
        assert client_id
        client = socketio.AsyncClient()

        async def heard(_event: str, *data: Any) -> None:
            taken[0] += sum(len(str(part)) for part in data)

        client.on("*", heard)
        query = f"client_id={client_id[1]}&tab_id={uuid.uuid4()}&document_id={uuid.uuid4()}&next_message_id=0&implicit_handshake=true"
        await client.connect(f"{url}?{query}", socketio_path="/_nicegui_ws/socket.io", transports=["websocket"])
        clients.append(client)
    taken[0] = 0
    joined.set()
    await asyncio.sleep(seconds)
    taken[1] = taken[0]
    for client in clients:
        await client.disconnect()


def main(seconds: float) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Mosquitto(folder, "allow_anonymous true", "max_queued_messages 1000000")
        stack.callback(broker.stop)
        bus = MqttBus(broker.url, "teller", queue_size=100_000)
        stack.callback(bus.close)
        bus.wait_connected(5)
        told = Told(bus)
        told.start()
        stack.callback(setattr, told, "over", True)
        until(lambda: told.sent, 120)
        a_large_site(folder / "large.yaml")
        served = serve(folder, broker.url, site=str(folder / "large.yaml"), within_s=60)
        stack.callback(served.stop)
        stat = Path(f"/proc/{served.process.pid}/stat")
        time.sleep(5)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            for again in range(2):
                began = time.monotonic()
                page.goto(served.url)
                page.get_by_role("button", name="Override …").click()
                page.get_by_role("dialog").wait_for()
                print(f"{'again' if again else 'first'}: can be used after {time.monotonic() - began:.2f} s")
                page.keyboard.press("Escape")
            page.get_by_role("tab", name="Jobs").click()
            page.evaluate(
                "() => { window.seen = []; const tile = document.querySelector('#tile-power'); new MutationObserver(() => window.seen.push("
                "[Date.now() / 1000, tile.innerText])).observe(tile, {subtree: true, childList: true, characterData: true}); }"
            )
            taken, joined = [0, 0], threading.Event()
            others = threading.Thread(target=lambda: asyncio.run(look(served.url, BROWSERS - 1, seconds, taken, joined)))
            others.start()
            began = time.monotonic()
            while not joined.is_set():
                page.wait_for_timeout(100)
            print(f"{BROWSERS - 1} more have joined after {time.monotonic() - began:.1f} s")
            page.evaluate("window.seen = []")
            cpu, began = ticks(stat), time.monotonic()
            while others.is_alive():
                page.wait_for_timeout(500)
            lasted = time.monotonic() - began
            print(f"the console's CPU: {(ticks(stat) - cpu) / lasted:.0f} % of a processor")
            seen = page.evaluate("window.seen")
            browser.close()
        took = waited(seen, told.sent)
        least, half, most, last = took[0], statistics.median(took), took[int(0.95 * len(took))], took[-1]
        print(f"{len(took)} updates seen: least {least:.2f} s, median {half:.2f} s, all but 5 % {most:.2f} s, last {last:.2f} s")
        print(f"each browser takes {taken[1] / (BROWSERS - 1) / seconds / 1000:.1f} kB/s")
        memory = next(line for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(f"memory: {int(memory.split()[1]) / 1024:.0f} MiB at most")


def waited(seen: list[tuple[float, str]], sent: dict[int, float]) -> list[float]:
    """How long each number was on its way until it was seen, s, rising."""
    found = ((at, int(re.search(r"([\d,]+) kW of", text)[1].replace(",", ""))) for at, text in seen)
    return sorted(at - sent[number] for at, number in found if number in sent)


def ticks(stat: Path) -> int:
    """CPU that a process has had, hundredths of a second."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
