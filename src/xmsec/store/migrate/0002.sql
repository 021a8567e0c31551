-- The record of playbook runs: one chain over all runs, only ever appended to.
CREATE TABLE chain (
    number INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT NOT NULL,
    body TEXT NOT NULL, -- JSON
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX chain_by_run ON chain (run, number);
