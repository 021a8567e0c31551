-- What an incident names is written whole: the least of its findings, whatever was committed when.
CREATE INDEX incident_findings_by_incident ON incident_findings (incident);
