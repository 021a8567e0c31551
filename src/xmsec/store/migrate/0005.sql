-- Which findings changed, in the order of their commits, each at its last place: what deliveries follow with a cursor. The
-- number only ever grows; a finding that changed again leaves its earlier place.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    finding TEXT NOT NULL UNIQUE
);
INSERT INTO changes (finding) SELECT id FROM findings ORDER BY time, id;
