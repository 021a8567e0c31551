#!/usr/bin/env bash
# Fetches the front-end files again from npm, as scripts/vendor.txt names them: file, package, version, member, SHA-256. `check` looks
# at those that are here, and fetches nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
static=src/xmsec/console/static
list=scripts/vendor.txt
if [ "${1:-}" != check ]; then
  command -v npm >/dev/null || { echo "vendor: no npm; install Node.js" >&2; exit 1; }
  part=$(mktemp -d "${TMPDIR:-/tmp}/xmsec-vendor-XXXXXX")
  trap 'rm -rf "$part"' EXIT
  grep -v '^#' "$list" | while read -r file package version member _; do
    packed=$(cd "$part" && npm pack --silent "$package@$version")
    tar -xzf "$part/$packed" -O "package/$member" > "$static/$file"
  done
fi
grep -v '^#' "$list" | while read -r file _ _ _ sum; do echo "$sum  $static/$file"; done | sha256sum --check --quiet --strict
