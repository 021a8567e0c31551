-- Times are microseconds since 1970 in UTC; bodies are msgpack, or JSON where a person may want to look.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE clocks (
    stream TEXT NOT NULL,
    partition TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (stream, partition)
) WITHOUT ROWID;

-- New rows go to the end and only the short hash is scattered: with (owner, kind, value) as the key a commit of 10,000 new
-- states wrote 10,000 pages, and took three times as long.
CREATE TABLE states (
    hash BLOB NOT NULL UNIQUE, -- of owner, kind and value, 128 bits
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    due INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX states_by_due ON states (due) WHERE due IS NOT NULL;

CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    time INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    detector TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity INTEGER NOT NULL, -- rank, 0 informational to 4 critical
    risk INTEGER NOT NULL,
    system TEXT NOT NULL,
    stream TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    state TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    count INTEGER NOT NULL,
    body BLOB NOT NULL -- JSON
);
CREATE INDEX findings_by_time ON findings (time, id);
CREATE INDEX findings_by_entity ON findings (entity_type, entity_id);

CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    opened INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    risk INTEGER NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    state TEXT NOT NULL,
    body BLOB NOT NULL -- JSON
);
CREATE INDEX incidents_by_opened ON incidents (opened, id);
CREATE INDEX incidents_by_entity ON incidents (entity_type, entity_id);

CREATE TABLE incident_findings (
    finding TEXT PRIMARY KEY,
    incident TEXT NOT NULL
) WITHOUT ROWID;

-- What people set, apart from what the engine writes: a finding told again resets nothing.
CREATE TABLE triage (
    subject TEXT PRIMARY KEY, -- id of a finding or an incident
    status TEXT NOT NULL,
    assignee TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE intents (
    id TEXT PRIMARY KEY,
    playbook TEXT NOT NULL,
    incident TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE dead (
    stream TEXT NOT NULL,
    leg TEXT NOT NULL,
    reason TEXT NOT NULL,
    partition TEXT NOT NULL,
    offset INTEGER NOT NULL,
    part INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (stream, leg, reason, partition, offset, part)
) WITHOUT ROWID;

CREATE TABLE dead_totals (
    stream TEXT NOT NULL,
    leg TEXT NOT NULL,
    reason TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (stream, leg, reason)
) WITHOUT ROWID;

CREATE TABLE counts (
    what TEXT NOT NULL,
    stream TEXT NOT NULL,
    detail TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (what, stream, detail)
) WITHOUT ROWID;

CREATE TABLE proposals (
    dataset TEXT NOT NULL,
    field TEXT NOT NULL,
    type TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (dataset, field, type)
) WITHOUT ROWID;

-- Which findings were told while which partitions were read: a scan of the same files prints them again.
CREATE TABLE scans (
    stream TEXT NOT NULL,
    partition TEXT NOT NULL,
    scan TEXT NOT NULL,
    PRIMARY KEY (stream, partition, scan)
) WITHOUT ROWID;

CREATE TABLE scan_findings (
    scan TEXT NOT NULL,
    finding TEXT NOT NULL,
    PRIMARY KEY (scan, finding)
) WITHOUT ROWID;
