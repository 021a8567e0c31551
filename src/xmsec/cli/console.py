"""`xmsec console`: the console and the API alone, over Elasticsearch."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from xmsec.cli.options import Home, example

EXAMPLE = example("XMSEC_ES_URL=https://es1:9200 xmsec console --port 8470")


def console(
    port: Annotated[int, typer.Option("--port", help="Where pages and API are served.", min=0, max=65535)] = 8470,
    home: Home = None,
) -> None:
    """Serve the console and the API over Elasticsearch, beside any number of workers.

    People, their sessions and the audit trail lie in console.sqlite of the home. At the first start a one-time link is
    printed by which the first administrator is made. Ends at Ctrl-C or SIGTERM.
    """
    from xmsec.cli.desk import elastic_runs
    from xmsec.cli.elastic import elastic
    from xmsec.cli.logs import begin
    from xmsec.cli.output import remark
    from xmsec.cli.rooms import ledgers_of, means_of, reasons_of, rooms, shelf_of, streams_of, trails_of
    from xmsec.cli.settings import settings
    from xmsec.console.given import Records
    from xmsec.model.errors import XmsecError
    from xmsec.model.ports import Query
    from xmsec.runtime.reasons import Newest
    from xmsec.runtime.service import Serving, application
    from xmsec.store.elastic_acts import ElasticActs
    from xmsec.store.elastic_ensure import check
    from xmsec.store.elastic_read import ElasticReader

    begin()
    given = settings(home)
    given.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with elastic(given) as client:
        check(client, None, given.es_prefix)
        reader = ElasticReader(client, given.es_prefix)

        def problems() -> list[str]:
            try:
                reader.count(Query("incidents"), ())
            except XmsecError as error:
                return [str(error)]
            return []

        means = means_of(given, elastic_runs(client, given), lambda: reader)
        acts, shelf = ElasticActs(client, given.es_prefix), shelf_of(given)
        book = Newest(given.home)
        why, streams = reasons_of(given, book), streams_of(given)
        kept: dict[str, Any] = {"exceptions": shelf, "book": book, "why": why, "problems": problems}
        kept |= {"trails": trails_of(given), "ledgers": ledgers_of(given, book, lambda: reader), "workers": True}
        records = Records(lambda: reader, acts, means, given.zone, streams, **kept)
        with rooms(given, records) as made:
            app = application(tuple, problems, rooms=made.routes)
            with Serving(app, given.host, port) as service, made.open():
                remark(f"ready {service.url}")
                if link := made.invitation(service.url):
                    remark(f"first administrator, once · 首位管理员（一次有效）: {link}")
                while True:
                    time.sleep(3600)
