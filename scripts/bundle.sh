#!/usr/bin/env bash
# Packs what a machine needs that reaches no registry: wheels of everything in production.lock for this Python and platform, xmsec's
# own wheel with its content, checksums, and a script that installs. LOCK and OUT name another lock file and folder.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-dist}
lock=${LOCK:-production.lock}
python=.venv/bin/python
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
tag=$("$python" -c 'import sysconfig, sys; print(f"py{sys.version_info[0]}{sys.version_info[1]}-{sysconfig.get_platform()}")')
name=xmsec-$version-$tag
part=$(mktemp -d "${TMPDIR:-/tmp}/xmsec-bundle-XXXXXX")
trap 'rm -rf "$part"' EXIT
mkdir -p "$out" "$part/$name/wheels"

[ -x .venv/bin/pip ] || "$python" -m ensurepip --upgrade >/dev/null
"$python" -m pip download --quiet --disable-pip-version-check --only-binary :all: --require-hashes --no-deps \
  --requirement "$lock" --dest "$part/$name/wheels"
"$python" -m build --wheel --no-isolation --outdir "$part/$name/wheels" . >/dev/null
for folder in streams classifiers detectors playbooks assessments scenarios; do
  mkdir -p "$part/$name/content"
  cp -r "$folder" "$part/$name/content/"
done
cp "$lock" "$part/$name/production.lock"
cp docs/operations.md LICENSE NOTICE docker-compose.yml "$part/$name/"
cp scripts/install.sh "$part/$name/install.sh"
chmod 755 "$part/$name/install.sh"
(cd "$part/$name" && find . -type f ! -name SHA256SUMS ! -name install.sh -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS)
tar -C "$part" --sort=name --owner=0 --group=0 --numeric-owner -czf "$part/$name.tar.gz" "$name"
mv "$part/$name.tar.gz" "$out/"
(cd "$out" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
