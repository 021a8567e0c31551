-- What a finding shows of people's part, and how many there are a day: lists and counts look at one table, and do not grow with
-- all that is kept. Triggers keep both, whoever writes: the engine a finding again, people a status, an act other incidents.
ALTER TABLE findings ADD COLUMN incident TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN status TEXT NOT NULL DEFAULT 'new';
ALTER TABLE findings ADD COLUMN assignee TEXT NOT NULL DEFAULT '';

CREATE VIEW shown AS
SELECT
    f.id AS finding,
    COALESCE(m.incident, '') AS incident,
    COALESCE(t.status, c.status, 'new') AS status,
    COALESCE(NULLIF(t.assignee, ''), c.assignee, '') AS assignee
FROM findings f
LEFT JOIN incident_findings m ON m.finding = f.id
LEFT JOIN triage t ON t.subject = f.id
LEFT JOIN triage c ON c.subject = m.incident;

UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = id)
WHERE id IN (SELECT finding FROM incident_findings UNION SELECT subject FROM triage);

DROP INDEX findings_counted;
CREATE INDEX findings_counted ON findings (
    time, severity, system, detector, kind, stage, grade, state, entity_type, status, exception, id
);
CREATE INDEX findings_by_risk ON findings (risk, time, id);
CREATE INDEX findings_by_status ON findings (status, time, id);
CREATE INDEX findings_by_assignee ON findings (assignee, time, id);
CREATE INDEX findings_by_incident ON findings (incident, time, id);

DROP INDEX incidents_by_severity;
DROP INDEX incidents_by_risk;
CREATE INDEX incidents_by_severity ON incidents (severity, opened, id);
CREATE INDEX incidents_by_risk ON incidents (risk, opened, id);

CREATE TABLE tally ( -- of the findings that no exception covers
    day INTEGER NOT NULL, -- since 1970, UTC
    severity INTEGER NOT NULL,
    system TEXT NOT NULL,
    detector TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    stage TEXT NOT NULL,
    grade TEXT NOT NULL,
    status TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (day, severity, system, detector, entity_type, stage, grade, status)
) WITHOUT ROWID;
INSERT INTO tally
SELECT time / 86400000000, severity, system, detector, entity_type, stage, grade, status, count(*)
FROM findings WHERE exception = '' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

CREATE TRIGGER finding_came AFTER INSERT ON findings BEGIN
    INSERT INTO tally
    SELECT NEW.time / 86400000000, NEW.severity, NEW.system, NEW.detector, NEW.entity_type, NEW.stage, NEW.grade, NEW.status, 1
    WHERE NEW.exception = ''
    ON CONFLICT DO UPDATE SET total = total + 1;
    -- what was said of it, or grouped, before it came
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = NEW.id)
    WHERE id = NEW.id AND (
        EXISTS (SELECT 1 FROM incident_findings WHERE finding = NEW.id) OR EXISTS (SELECT 1 FROM triage WHERE subject = NEW.id)
    );
END;
CREATE TRIGGER finding_went AFTER DELETE ON findings WHEN OLD.exception = '' BEGIN
    UPDATE tally SET total = total - 1
    WHERE day = OLD.time / 86400000000 AND severity = OLD.severity AND system = OLD.system AND detector = OLD.detector
        AND entity_type = OLD.entity_type AND stage = OLD.stage AND grade = OLD.grade AND status = OLD.status;
    DELETE FROM tally
    WHERE day = OLD.time / 86400000000 AND severity = OLD.severity AND system = OLD.system AND detector = OLD.detector
        AND entity_type = OLD.entity_type AND stage = OLD.stage AND grade = OLD.grade AND status = OLD.status AND total = 0;
END;
CREATE TRIGGER finding_changed
AFTER UPDATE OF time, severity, system, detector, entity_type, stage, grade, status, exception ON findings
WHEN (OLD.time / 86400000000, OLD.severity, OLD.system, OLD.detector, OLD.entity_type, OLD.stage, OLD.grade, OLD.status, OLD.exception)
    IS NOT (NEW.time / 86400000000, NEW.severity, NEW.system, NEW.detector, NEW.entity_type, NEW.stage, NEW.grade, NEW.status, NEW.exception)
BEGIN
    UPDATE tally SET total = total - 1
    WHERE OLD.exception = ''
        AND day = OLD.time / 86400000000 AND severity = OLD.severity AND system = OLD.system AND detector = OLD.detector
        AND entity_type = OLD.entity_type AND stage = OLD.stage AND grade = OLD.grade AND status = OLD.status;
    DELETE FROM tally
    WHERE day = OLD.time / 86400000000 AND severity = OLD.severity AND system = OLD.system AND detector = OLD.detector
        AND entity_type = OLD.entity_type AND stage = OLD.stage AND grade = OLD.grade AND status = OLD.status AND total = 0;
    INSERT INTO tally
    SELECT NEW.time / 86400000000, NEW.severity, NEW.system, NEW.detector, NEW.entity_type, NEW.stage, NEW.grade, NEW.status, 1
    WHERE NEW.exception = ''
    ON CONFLICT DO UPDATE SET total = total + 1;
END;

CREATE TRIGGER member_came AFTER INSERT ON incident_findings BEGIN
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = NEW.finding)
    WHERE id = NEW.finding;
END;
CREATE TRIGGER member_moved AFTER UPDATE ON incident_findings BEGIN
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = NEW.finding)
    WHERE id = NEW.finding;
END;
CREATE TRIGGER member_went AFTER DELETE ON incident_findings BEGIN
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = OLD.finding)
    WHERE id = OLD.finding;
END;
CREATE TRIGGER said AFTER INSERT ON triage BEGIN
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = id)
    WHERE id = NEW.subject OR id IN (SELECT finding FROM incident_findings WHERE incident = NEW.subject);
END;
CREATE TRIGGER said_otherwise AFTER UPDATE ON triage BEGIN
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = id)
    WHERE id = NEW.subject OR id IN (SELECT finding FROM incident_findings WHERE incident = NEW.subject);
END;
CREATE TRIGGER unsaid AFTER DELETE ON triage BEGIN
    UPDATE findings SET (incident, status, assignee) = (SELECT incident, status, assignee FROM shown WHERE finding = id)
    WHERE id = OLD.subject OR id IN (SELECT finding FROM incident_findings WHERE incident = OLD.subject);
END;
