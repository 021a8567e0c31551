-- How many findings an hour brings, for courses over days and weeks: of those that no exception covers, whatever people said.
CREATE TABLE pace (
    hour INTEGER NOT NULL, -- since 1970
    severity INTEGER NOT NULL,
    system TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (hour, severity, system)
) WITHOUT ROWID;
INSERT INTO pace SELECT time / 3600000000, severity, system, count(*) FROM findings WHERE exception = '' GROUP BY 1, 2, 3;

CREATE TRIGGER pace_came AFTER INSERT ON findings WHEN NEW.exception = '' BEGIN
    INSERT INTO pace VALUES (NEW.time / 3600000000, NEW.severity, NEW.system, 1) ON CONFLICT DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER pace_went AFTER DELETE ON findings WHEN OLD.exception = '' BEGIN
    UPDATE pace SET total = total - 1 WHERE hour = OLD.time / 3600000000 AND severity = OLD.severity AND system = OLD.system;
END;
CREATE TRIGGER pace_changed AFTER UPDATE OF time, severity, system, exception ON findings
WHEN (OLD.time / 3600000000, OLD.severity, OLD.system, OLD.exception) IS NOT (NEW.time / 3600000000, NEW.severity, NEW.system, NEW.exception)
BEGIN
    UPDATE pace SET total = total - 1
    WHERE OLD.exception = '' AND hour = OLD.time / 3600000000 AND severity = OLD.severity AND system = OLD.system;
    INSERT INTO pace SELECT NEW.time / 3600000000, NEW.severity, NEW.system, 1 WHERE NEW.exception = ''
    ON CONFLICT DO UPDATE SET total = total + 1;
END;

-- Which systems an incident is of: to list those of one, and to count by system, without a look into each.
CREATE TABLE incident_systems (
    incident TEXT NOT NULL,
    system TEXT NOT NULL,
    PRIMARY KEY (incident, system)
) WITHOUT ROWID;
CREATE INDEX incident_systems_by_system ON incident_systems (system, incident);
INSERT INTO incident_systems SELECT DISTINCT i.id, s.value FROM incidents i, json_each(CAST(i.body AS TEXT), '$.systems') s;

CREATE TRIGGER incident_came AFTER INSERT ON incidents BEGIN
    INSERT INTO incident_systems SELECT DISTINCT NEW.id, value FROM json_each(CAST(NEW.body AS TEXT), '$.systems');
END;
CREATE TRIGGER incident_changed AFTER UPDATE OF body ON incidents WHEN OLD.body IS NOT NEW.body BEGIN
    DELETE FROM incident_systems WHERE incident = NEW.id;
    INSERT INTO incident_systems SELECT DISTINCT NEW.id, value FROM json_each(CAST(NEW.body AS TEXT), '$.systems');
END;
CREATE TRIGGER incident_went AFTER DELETE ON incidents BEGIN
    DELETE FROM incident_systems WHERE incident = OLD.id;
END;

CREATE INDEX findings_by_name ON findings (entity_id, time, id); -- who is asked for is often named without its kind
