-- What people search and filter by. The indices carry (time, id), so that the latest rows of a filter are found without a sort.
ALTER TABLE findings ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN stage TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN grade TEXT NOT NULL DEFAULT '';
UPDATE findings SET
    title = COALESCE(json_extract(CAST(body AS TEXT), '$.title'), ''),
    stage = COALESCE(json_extract(CAST(body AS TEXT), '$.stage'), ''),
    grade = COALESCE(json_extract(CAST(body AS TEXT), '$.grade'), '');
CREATE INDEX findings_by_severity ON findings (severity, time, id);
CREATE INDEX findings_by_system ON findings (system, time, id);
CREATE INDEX findings_by_detector ON findings (detector, time, id);
-- Counts by these need no row itself, which is some KiB.
CREATE INDEX findings_counted ON findings (time, severity, system, detector, kind, stage, grade, state, entity_type, exception, id);
