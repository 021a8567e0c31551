-- Which exception covers a finding; "" of one that is shown.
ALTER TABLE findings ADD COLUMN exception TEXT NOT NULL DEFAULT '';
CREATE INDEX findings_by_exception ON findings (exception, time) WHERE exception <> '';
