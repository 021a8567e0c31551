"""xmsec: watch and protect data, from a raw log line to an explained finding and a rehearsed response."""
