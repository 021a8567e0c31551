"""Gives Elasticsearch's user `kibana_system` the password that was generated for this machine; safe to repeat."""

from __future__ import annotations

import os
from pathlib import Path

from elasticsearch import Elasticsearch

password = Path(os.environ["XMSEC_ES_PASSWORD_FILE"]).read_text().strip()
with Elasticsearch(os.environ["XMSEC_ES_URL"], basic_auth=(os.environ["XMSEC_ES_USER"], password)) as client:
    client.security.change_password(username="kibana_system", password=password)
