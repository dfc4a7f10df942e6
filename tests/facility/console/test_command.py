"""`facility console`: what it refuses before it serves anybody, and how users are made."""

from __future__ import annotations

import builtins
import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import facility.console.access as room
from facility.commands.console import Options, run_add_user, run_console
from facility.console.access import Users
from facility.errors import InputError

SITE = "site_configs/demo.yaml"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "COST", 2**4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(host="0.0.0.0"), "say who may: --users FILE"),
        (Options(trust_header="X-Forwarded-User"), "--trust-from"),
        (Options(users=Path("nowhere")), "make it: --add-user"),
        (Options(session="soon"), "--session"),
        (Options(keys=Path("nowhere")), "cannot be read"),
    ],
)
def test_it_serves_nobody_where_it_is_not_said_who_may(options: Options, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Path(SITE).resolve()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        run_console(str(site), (), options)


def test_a_port_that_is_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Path(SITE).resolve()
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="name another with --port"):
        run_console(str(site), (), Options(broker="mqtt://127.0.0.1:1", port=taken.getsockname()[1]))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "facility.console.page.screen":
            raise ModuleNotFoundError("no module", name="nicegui")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'facility\[console\]'"):
        run_console(SITE, (), Options())


def test_users_are_made_with_a_password_from_wherever_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users"
    monkeypatch.setenv("FACILITY_PASSWORD", "from the environment")
    assert run_add_user("ann", "operator", file, proxied=False) == 0
    monkeypatch.delenv("FACILITY_PASSWORD")
    monkeypatch.setattr("sys.stdin", io.StringIO("from a line\n"))
    run_add_user("bob", "viewer", file, proxied=False)
    run_add_user("paul", "operator", file, proxied=True)
    users = Users(file)
    assert [users.role(name) for name in ("ann", "bob", "paul", "eve")] == ["operator", "viewer", "operator", None]
    assert users.check("ann", "from the environment") is not None
    assert users.check("bob", "from a line") is not None
    assert users.check("bob", "from another line") is None
    assert "from" not in file.read_text()
