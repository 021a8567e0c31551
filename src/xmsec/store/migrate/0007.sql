-- What people decide of incidents, for good: nothing here is ever changed.
CREATE TABLE acts (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL -- JSON
) WITHOUT ROWID;
CREATE TABLE act_incidents (
    incident TEXT NOT NULL,
    act TEXT NOT NULL,
    PRIMARY KEY (incident, act)
) WITHOUT ROWID;

-- What follows from the acts: which incident shows which, whose entity it has, and where findings were put.
CREATE TABLE shaped (
    part TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    base TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX shaped_by_root ON shaped (root);
CREATE TABLE placed (
    finding TEXT PRIMARY KEY,
    incident TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX placed_by_incident ON placed (incident);

-- The engine's word on incidents that people have shaped; `incidents` holds what is shown.
CREATE TABLE own_incidents (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL -- JSON
) WITHOUT ROWID;
