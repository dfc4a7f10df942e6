"""The journal's tables, and how an older store becomes one of this version.

| version | added |
|---|---|
| 1 | counters, facts, answers, overrides, cycles |
| 2 | the account of events, rentals |
| 3 | everything that is sent, with the pieces it was made from; the chains of cycles, sendings and the account |
| 4 | who had what, by quarter of an hour; chained |

What an older store knows of the account is carried over: its overrides with their answers and ends, refused commands, and the
changes of mode between its cycles. Its rows are chained as they are found.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from facility.journal.chain import link_all

VERSION: Final = 4

_ACCOUNT_AND_RENTALS: Final = """
CREATE TABLE event (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, sort TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, says TEXT NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, result TEXT NOT NULL, id TEXT, signer TEXT);
CREATE INDEX event_at ON event (at_ms);
CREATE TABLE rental (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, contract TEXT NOT NULL, terms BLOB NOT NULL, start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, ended_ms INTEGER, how TEXT);
"""

_RECORD: Final = """
ALTER TABLE cycle ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE event ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
CREATE TABLE chain (
    name TEXT PRIMARY KEY, pruned_n INTEGER NOT NULL, pruned_hash BLOB NOT NULL, newest_n INTEGER NOT NULL,
    newest_hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sending (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, ruling BLOB NOT NULL,
    messages BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE piece (name TEXT PRIMARY KEY, used INTEGER NOT NULL, bytes BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX piece_used ON piece (used);
"""

_USAGE: Final = """
CREATE TABLE usage (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, counted_ms INTEGER NOT NULL, rows BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX usage_at ON usage (at_ms);
"""

TABLES: Final = f"""
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE fact (key TEXT PRIMARY KEY, json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE override (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, value REAL, asked REAL,
    priority INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,
    ended_ms INTEGER, how TEXT);
CREATE INDEX override_open ON override (n) WHERE ended_ms IS NULL;
CREATE TABLE cycle (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, cycle INTEGER NOT NULL, mode TEXT NOT NULL, outcome TEXT NOT NULL,
    reason TEXT NOT NULL, inputs BLOB NOT NULL, decision BLOB NOT NULL, verdict BLOB NOT NULL);
CREATE INDEX cycle_at ON cycle (at_ms);
CREATE INDEX cycle_published ON cycle (n) WHERE outcome = 'published';
{_ACCOUNT_AND_RENTALS}{_RECORD}{_USAGE}"""
"""What makes this version out of an empty file."""

_CARRIED_OVER: Final = """
INSERT INTO event (at_ms, sort, action, target, says, actor, reason, result, id)
SELECT * FROM (
    SELECT a.at_ms, 'override', 'set', o.target, coalesce(json_extract(CAST(a.json AS TEXT), '$.reason'), ''), o.by, o.reason,
        json_extract(CAST(a.json AS TEXT), '$.status'), o.id
    FROM override o JOIN answer a ON a.id = o.id
    UNION ALL
    SELECT ended_ms, 'override', how, target, 'ended', 'facility', '', '', id FROM override WHERE ended_ms IS NOT NULL
    UNION ALL
    SELECT at_ms, 'command', 'set', '', coalesce(json_extract(CAST(json AS TEXT), '$.reason'), ''), '', '',
        json_extract(CAST(json AS TEXT), '$.status'), id
    FROM answer WHERE id NOT IN (SELECT id FROM override)
    UNION ALL
    SELECT at_ms, 'mode', mode, 'site', reason, 'facility', '', coalesce(before, ''), NULL
    FROM (SELECT *, lag(mode) OVER (ORDER BY n) AS before FROM cycle) WHERE mode IS NOT before
) ORDER BY 1;
"""

MIGRATIONS: Final[Mapping[int, str]] = {1: _ACCOUNT_AND_RENTALS + _CARRIED_OVER, 2: _RECORD, 3: _USAGE}
"""By version, what makes the next one of it."""

FINISHED: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = {2: link_all}
"""By version, what must be computed after its migration, in the same transaction."""
