"""A site in the exchange, and keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.facility.dsx.exchange import Exchange


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    house = Exchange(tmp_path)
    yield house
    house.kill()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of keys: two private ones of both algorithms, and each one's public half as a set."""
    folder, made = tmp_path_factory.mktemp("keys"), {}
    for name, key in (("ec", ECKey.generate_key("P-256", {"kid": "e1"})), ("rsa", RSAKey.generate_key(2048, {"kid": "r1"}))):
        for kind, told in (("private", key.as_dict(private=True)), ("public", KeySet([key]).as_dict(private=False))):
            path = folder / f"{name}-{kind}.json"
            path.write_text(json.dumps(told))
            path.chmod(0o600)
            made[f"{name}-{kind}"] = str(path)
    return made
