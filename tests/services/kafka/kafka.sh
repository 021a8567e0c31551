#!/usr/bin/env bash
# One real Apache Kafka broker (KRaft, combined broker+controller) on 127.0.0.1, from Maven jars only.
#
#   kafka.sh install                      resolve the jars into the cache (start does it too)
#   kafka.sh start  DIR [key=value ...]   start a broker that keeps everything under DIR
#   kafka.sh stop   DIR                   SIGTERM, then SIGKILL after KAFKA_STOP_S (30) seconds
#   kafka.sh kill   DIR                   SIGKILL at once (for failure tests)
#   kafka.sh status DIR                   exit 0 if it answers
#   kafka.sh env    DIR                   print BOOTSTRAP=127.0.0.1:PORT
#   kafka.sh wipe   DIR                   stop and delete DIR (only if this script made it)
#
# DIR keeps its ports and its cluster id: 'start' on a stopped DIR brings the same broker back with its data.
# key=value arguments are added to server.properties of that start (e.g. num.partitions=8).
#
# Environment: KAFKA_PORT, KAFKA_CONTROLLER_PORT (0 or unset: free ports, chosen at the first start),
# KAFKA_HEAP (512m), KAFKA_START_S (60), XMSEC_JAVA (a java 17+ binary), MAVEN (mvn),
# XMSEC_SERVICES_CACHE (.cache/services at the top of the repository).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XMSEC_SERVICES_CACHE:-$here/../../../.cache/services}; mkdir -p "$cache"; cache=$(cd "$cache" && pwd)
. "$here/../common.sh"

install_jars() { maven_jars "$here/pom.xml" "$cache/kafka"; }   # sets $lib

answers() {  # an ApiVersions v0 request; the broker answers it only once it serves requests
  local port=$1 n
  n=$( { exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
         printf '\0\0\0\x0d\0\x12\0\0\0\0\0\x07\0\x03cli' >&3
         timeout 3 head -c 8 <&3 | od -An -tx1 | tr -d ' \n'; } 2>/dev/null ) || return 1
  [ "${n:8:8}" = 00000007 ]    # our correlation id comes back
}

main() {
  local cmd=${1:-} dir
  case $cmd in
    install) install_jars; echo "$lib"; return;;
    start|stop|kill|status|env|wipe) [ $# -ge 2 ] || die "usage: kafka.sh $cmd DIR";;
    *) sed -n '2,19p' "${BASH_SOURCE[0]}"; exit 2;;
  esac
  if [ "$cmd" = start ]; then mkdir -p "$2"; fi
  [ -d "$2" ] || { [ "$cmd" = stop ] || [ "$cmd" = wipe ] && exit 0; die "no such folder: $2"; }
  dir=$(cd "$2" && pwd); shift 2
  local pidfile=$dir/kafka.pid port= cport= cluster=
  # shellcheck disable=SC1091
  [ -f "$dir/kafka.env" ] && . "$dir/kafka.env"
  case $cmd in
    env) [ -n "$port" ] || die "never started: $dir"; echo "BOOTSTRAP=127.0.0.1:$port";;
    status) alive "$pidfile" "$dir" && answers "$port";;
    stop) stop_pid "$pidfile" "$dir" "${KAFKA_STOP_S:-30}";;
    kill) stop_pid "$pidfile" "$dir" 0;;
    wipe) [ -f "$dir/kafka.env" ] || die "not a folder of kafka.sh: $dir"
          stop_pid "$pidfile" "$dir" "${KAFKA_STOP_S:-30}"; rm -rf "$dir";;
    start) start "$@";;
  esac
}

start() {
  if alive "$pidfile" "$dir"; then echo "already running: 127.0.0.1:$port"; return; fi
  local java; java=$(find_java 17)
  install_jars
  if [ -z "$port" ]; then
    port=${KAFKA_PORT:-0}; cport=${KAFKA_CONTROLLER_PORT:-0}
    [ "$port" != 0 ] || port=$(free_port)
    [ "$cport" != 0 ] || cport=$(free_port "$port")
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    case $cluster in -*) cluster=A${cluster:1};; esac        # a leading dash would look like an option
    printf 'port=%s\ncport=%s\ncluster=%s\n' "$port" "$cport" "$cluster" >"$dir/kafka.env"
  fi
  mkdir -p "$dir/logs"
  { cat <<P
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$cport
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$cport
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:$cport
log.dirs=$dir/data
# one node: every internal topic has one replica, and few partitions so that start and stop are quick
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
log.segment.bytes=134217728
log.cleaner.dedupe.buffer.size=33554432
P
    local kv; for kv in "$@"; do echo "$kv"; done
  } >"$dir/server.properties"
  local cp="$lib/*"
  local opts=(-Dkafka.logs.dir="$dir/logs" -Dlog4j2.configurationFile="$here/log4j2.properties")
  if [ ! -f "$dir/data/meta.properties" ]; then
    "$java" -Xmx256m "${opts[@]}" -cp "$cp" kafka.tools.StorageTool format --standalone \
      -t "$cluster" -c "$dir/server.properties" >"$dir/logs/format.log" 2>&1 \
      || { cat "$dir/logs/format.log" >&2; die "format failed"; }
  fi
  # setsid: a Ctrl-C in the caller's terminal does not reach the broker
  setsid "$java" "-Xms${KAFKA_HEAP:-512m}" "-Xmx${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:TieredStopAtLevel="${KAFKA_TIER:-4}" \
    -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true "${opts[@]}" \
    -cp "$cp" kafka.Kafka "$dir/server.properties" >"$dir/logs/stdout.log" 2>&1 </dev/null &
  local pid=$!
  echo "$pid" >"$pidfile"
  local t=$((SECONDS + ${KAFKA_START_S:-60}))
  until answers "$port"; do    # our own child: its command line, by which alive knows it, is empty for a moment while it starts
    kill -0 "$pid" 2>/dev/null || { tail -20 "$dir"/logs/{stdout,server}.log >&2 || true; rm -f "$pidfile"; die "the broker ended"; }
    [ $SECONDS -lt $t ] || { stop_pid "$pidfile" "$dir" 5; die "no answer on port $port in ${KAFKA_START_S:-60} s; see $dir/logs"; }
    sleep 0.2
  done
  echo "BOOTSTRAP=127.0.0.1:$port"
}

main "$@"
