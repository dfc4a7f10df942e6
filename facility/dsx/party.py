"""Party: another one in the exchange, and what makes an event its own.

An event counts only on its sender's own topic, from its own source, and under its own signature where the site file names its keys;
where it names none, it must not be signed, for nobody could tell. A signature is of the data alone: of the envelope only the broker's
access list is proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from facility.bus.messages.codec import Rejected
from facility.dsx.cloudevents import CloudEvent
from facility.dsx.signature import Signer, Verifier
from facility.errors import InputError
from facility.site import Dsx, Peer


@dataclass(frozen=True)
class Party:
    """Who speaks on a topic, and how what it sends is verified; None: it is not signed."""

    name: str
    source: str
    verifier: Verifier | None

    @property
    def signer(self) -> str | None:
        """Whose key proves what it sends."""
        return None if self.verifier is None else self.name

    def opened(self, event: CloudEvent) -> bytes:
        """The plain data of its event. Raises `Rejected`."""
        if event.source != self.source:
            raise Rejected(f"its source is {event.source}, and this topic belongs to {self.source}", str(event.id))
        signed = event.signed
        if signed is None and self.verifier is None:
            return bytes(event.data)
        if signed is None or self.verifier is None:
            says = "it is not signed" if signed is None else "it is signed, and the site file names no keys to verify it with"
            raise Rejected(says, str(event.id))
        return self.verifier.verified(signed)


def parties(peers: Mapping[str, Peer], key: str, role: str, below: str) -> dict[str, Party]:
    """Those of `bus.dsx.{key}`, who have a `role` in the exchange, by the topic of each. InputError where keys cannot be used."""

    def party(name: str, peer: Peer) -> Party:
        verifier = None if peer.keys_file is None else Verifier(peer.keys_file, f"bus.dsx.{key}.{name}.keys_file")
        return Party(name, f"//grid/v1/{role}/{name}", verifier)

    return {f"grid/v1/{role}/{name}/{below}": party(name, peer) for name, peer in peers.items()}


def cautions(dsx: Dsx) -> Iterator[str]:
    """Tell files of keys that cannot be used, and whose events nothing proves but the broker's access list."""
    try:
        if dsx.signing_key_file is not None:
            Signer(dsx.signing_key_file, "bus.dsx.signing_key_file")
    except InputError as error:
        yield from map(str, error.faults)
    for key, peers in (("isvs", dsx.isvs), ("infra_agents", dsx.infra_agents)):
        for name, peer in peers.items():
            place = f"bus.dsx.{key}.{name}"
            try:
                if peer.keys_file is None:
                    yield f"{place}: what it sends is not signed: only the broker's access list proves whose it is; give keys_file"
                else:
                    Verifier(peer.keys_file, f"{place}.keys_file")
            except InputError as error:
                yield from map(str, error.faults)
