-- What findings are called by, each once: a word is looked for among these names and not in every finding. Triggers keep them.
CREATE TABLE called (
    detector TEXT NOT NULL,
    title TEXT NOT NULL,
    system TEXT NOT NULL,
    PRIMARY KEY (detector, title, system)
) WITHOUT ROWID;
INSERT INTO called SELECT DISTINCT detector, title, system FROM findings;

CREATE TABLE named (
    entity_id TEXT PRIMARY KEY
) WITHOUT ROWID;
INSERT INTO named SELECT DISTINCT entity_id FROM findings;

CREATE TRIGGER names_came AFTER INSERT ON findings BEGIN
    INSERT INTO called VALUES (NEW.detector, NEW.title, NEW.system) ON CONFLICT DO NOTHING;
    INSERT INTO named VALUES (NEW.entity_id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER names_changed AFTER UPDATE OF detector, title, system, entity_id ON findings
WHEN (OLD.detector, OLD.title, OLD.system, OLD.entity_id) IS NOT (NEW.detector, NEW.title, NEW.system, NEW.entity_id)
BEGIN
    INSERT INTO called VALUES (NEW.detector, NEW.title, NEW.system) ON CONFLICT DO NOTHING;
    INSERT INTO named VALUES (NEW.entity_id) ON CONFLICT DO NOTHING;
END;

-- Ids are digests; those that are not are the few in which any word may stand.
CREATE INDEX findings_by_odd_id ON findings (id) WHERE id GLOB '*[^0-9a-f]*';
