#!/usr/bin/env bash
# Brings the environment of this checkout: .venv with what requirements.lock names. Safe to repeat; silent when nothing is to do.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { echo "setup: $*" >&2; exit 1; }

python=""
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || die "no Python 3.11 to 3.13 found; install one, or name it: make PYTHON=/path/to/python"

stamp=.venv/.lock-$(cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
[ -f "$stamp" ] && exit 0

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  # Debian ships venv apart
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv ca-certificates >/dev/null
  else
    die "Python has no venv module; run: sudo apt-get install python3-venv ca-certificates"
  fi
fi
echo "setup: installing into .venv (a minute at first)" >&2
[ -x .venv/bin/python ] || "$python" -m venv .venv
uv=$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' requirements.lock)
[ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" = "${uv#uv==}" ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "$uv"
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=$PWD/.venv
.venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation -e .
rm -f .venv/.lock-*
touch "$stamp"
