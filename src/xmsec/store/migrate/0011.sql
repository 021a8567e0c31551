-- Who used which dataset how often, a row a day (of event time, in UTC); account '' where events name none.
-- first, last: microseconds since 1970.
CREATE TABLE uses (
    day INTEGER NOT NULL,
    dataset TEXT NOT NULL,
    account TEXT NOT NULL,
    system TEXT NOT NULL,
    events INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (day, dataset, account, system)
) WITHOUT ROWID;
CREATE INDEX uses_by_dataset ON uses (dataset, account); -- what the ledger asks of a grant, over all days
