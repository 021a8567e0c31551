#!/usr/bin/env bash
# Installs xmsec from this folder; no registry is asked. Usage: ./install.sh [DIRECTORY] (default /opt/xmsec); PYTHON names the interpreter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-/opt/xmsec}
die() { echo "install: $*" >&2; exit 1; }

(cd "$here" && sha256sum --quiet --strict --check SHA256SUMS) || die "a file is not what SHA256SUMS says; copy the bundle again"
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || die "Python 3.11 to 3.13 is needed; PYTHON names it"
[ ! -e "$target/bin/xmsec" ] || echo "install: upgrading $target" >&2
"$python" -m venv "$target" || die "Python has no venv module; install python3-venv"
"$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" \
  --require-hashes --only-binary :all: --requirement "$here/production.lock" || die "the bundle was made for another Python or platform"
"$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall "$here"/wheels/xmsec-*.whl
"$target/bin/xmsec" --version
