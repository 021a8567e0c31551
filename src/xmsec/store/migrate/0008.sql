-- The runs of an incident: an altered body, which may be no JSON any more, has none.
CREATE INDEX chain_by_incident ON chain (CASE WHEN json_valid(body) THEN json_extract(body, '$.incident') END)
    WHERE kind = 'started';

-- Lists of incidents in the orders that people ask for, without a sort.
CREATE INDEX incidents_by_severity ON incidents (severity, id);
CREATE INDEX incidents_by_risk ON incidents (risk, id);
