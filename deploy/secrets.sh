#!/bin/sh
# One-shot at every start: makes what is missing, replaces nothing. Each secret is in a volume that only its users mount.
set -eu
umask 077
[ -e "$XMSEC_KEY_FILE" ] || xmsec keys create
if [ ! -e "$XMSEC_ES_PASSWORD_FILE" ]; then
  python -c 'import secrets; print(secrets.token_urlsafe(24), end="")' > "$XMSEC_ES_PASSWORD_FILE.part"
  chmod 400 "$XMSEC_ES_PASSWORD_FILE.part"
  mv "$XMSEC_ES_PASSWORD_FILE.part" "$XMSEC_ES_PASSWORD_FILE"
fi
if [ ! -e "$XMSEC_INGEST_TOKENS" ]; then
  token=$(python -c 'import secrets; print(secrets.token_urlsafe(32), end="")')
  printf '%s' "$token" > "${XMSEC_INGEST_TOKENS%/*}/token"
  printf 'compose %s *\n' "$(printf '%s' "$token" | sha256sum | cut -d' ' -f1)" > "$XMSEC_INGEST_TOKENS.part"
  mv "$XMSEC_INGEST_TOKENS.part" "$XMSEC_INGEST_TOKENS"
fi
xmsec keys check
