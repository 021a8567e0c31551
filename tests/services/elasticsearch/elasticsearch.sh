#!/usr/bin/env bash
# One real Elasticsearch node on 127.0.0.1, from Maven jars only (server + transport-netty4, no distribution, no x-pack).
#
#   elasticsearch.sh install                      resolve the jars and compile the launcher into the cache (start does it too)
#   elasticsearch.sh start  DIR [setting: value]  start a node that keeps everything under DIR
#   elasticsearch.sh stop   DIR                   SIGTERM, then SIGKILL after ES_STOP_S (30) seconds
#   elasticsearch.sh kill   DIR                   SIGKILL at once (for failure tests)
#   elasticsearch.sh status DIR                   exit 0 if it answers
#   elasticsearch.sh env    DIR                   print ES_URL=http://127.0.0.1:PORT
#   elasticsearch.sh wipe   DIR                   stop and delete DIR (only if this script made it)
#
# DIR keeps its ports: 'start' on a stopped DIR brings the same node back with its data. Further arguments of start are
# lines of elasticsearch.yml.
#
# Environment: ES_PORT, ES_TRANSPORT_PORT (0 or unset: free ports, chosen at the first start), ES_HEAP (1g), ES_START_S (90),
# XMSEC_JAVA (a java of version 21 or newer; a plain runtime will do), MAVEN (mvn), XMSEC_SERVICES_CACHE (.cache/services at the top of the repository).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XMSEC_SERVICES_CACHE:-$here/../../../.cache/services}; mkdir -p "$cache"; cache=$(cd "$cache" && pwd)
. "$here/../common.sh"

# Sets $eshome: a folder laid out as the server expects (lib, modules), with our launcher in it.
install_node() {
  local java=$1 key
  maven_jars "$here/pom.xml" "$cache/elasticsearch"
  ecj                                        # sets $ecj: a compiler that runs on a plain runtime
  key=$(cat "$here/pom.xml" "$here"/*.java | sha256sum | cut -c1-12)
  eshome=$cache/elasticsearch/home-$key
  [ -f "$eshome/.complete" ] && return
  (
    flock 9
    [ -f "$eshome/.complete" ] && exit 0
    part=$eshome.part; rm -rf "$part" "$eshome"
    net=$part/modules/transport-netty4; root=$part/modules/rest-root
    mkdir -p "$part/lib" "$part/plugins" "$part/native" "$part/classes" "$net" "$root" "$part/root-classes"
    for j in "$lib"/*.jar; do
      case ${j##*/} in                       # a module's own jars must not be on the server's class path as well
        netty-*|transport-netty4-*) ln "$j" "$net/" 2>/dev/null || cp "$j" "$net/";;
        *) ln "$j" "$part/lib/" 2>/dev/null || cp "$j" "$part/lib/";;
      esac
    done
    classpath=$(printf '%s:' "$part"/lib/*.jar)
    compile=("$java" -jar "$ecj" -21 -nowarn -proc:none -cp "$classpath")
    "${compile[@]}" -d "$part/classes" "$here/EsNode.java"
    "${compile[@]}" -d "$part/root-classes" "$here/RestRootPlugin.java"
    (cd "$part/root-classes" && python3 -m zipfile -c "$root/rest-root.jar" xmsec)
    rm -rf "$part/root-classes"
    run=("$java" -cp "$part/classes:$part/lib/*" EsNode "$part" --descriptor)
    "${run[@]}" "$net" transport-netty4 org.elasticsearch.transport.netty4.Netty4Plugin
    "${run[@]}" "$root" rest-root xmsec.services.RestRootPlugin
    touch "$part/.complete"; mv "$part" "$eshome"
  ) 9>"$cache/elasticsearch/.lock-home" || die "could not lay out the node in $eshome"
}

answers() {  # one HTTP request with bash alone
  local port=$1 line
  line=$( { exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
            printf 'GET /_cluster/health?wait_for_status=yellow&timeout=2s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
            timeout 5 head -n 1 <&3; } 2>/dev/null ) || return 1
  case $line in *" 200 "*) return 0;; *) return 1;; esac
}

main() {
  local cmd=${1:-} dir
  case $cmd in
    install) local java; java=$(find_java 21); install_node "$java"; echo "$eshome"; return;;
    start|stop|kill|status|env|wipe) [ $# -ge 2 ] || die "usage: elasticsearch.sh $cmd DIR";;
    *) sed -n '2,18p' "${BASH_SOURCE[0]}"; exit 2;;
  esac
  if [ "$cmd" = start ]; then mkdir -p "$2"; fi
  [ -d "$2" ] || { [ "$cmd" = stop ] || [ "$cmd" = wipe ] && exit 0; die "no such folder: $2"; }
  dir=$(cd "$2" && pwd); shift 2
  local pidfile=$dir/elasticsearch.pid port= tport=
  # shellcheck disable=SC1091
  [ -f "$dir/elasticsearch.env" ] && . "$dir/elasticsearch.env"
  case $cmd in
    env) [ -n "$port" ] || die "never started: $dir"; echo "ES_URL=http://127.0.0.1:$port";;
    status) alive "$pidfile" "$dir" && answers "$port";;
    stop) stop_pid "$pidfile" "$dir" "${ES_STOP_S:-30}";;
    kill) stop_pid "$pidfile" "$dir" 0;;
    wipe) [ -f "$dir/elasticsearch.env" ] || die "not a folder of elasticsearch.sh: $dir"
          stop_pid "$pidfile" "$dir" "${ES_STOP_S:-30}"; rm -rf "$dir";;
    start) start "$@";;
  esac
}

start() {
  if alive "$pidfile" "$dir"; then echo "already running: http://127.0.0.1:$port"; return; fi
  local java; java=$(find_java 21)
  install_node "$java"
  if [ -z "$port" ]; then
    port=${ES_PORT:-0}; tport=${ES_TRANSPORT_PORT:-0}
    [ "$port" != 0 ] || port=$(free_port)
    [ "$tport" != 0 ] || tport=$(free_port "$port")
    printf 'port=%s\ntport=%s\n' "$port" "$tport" >"$dir/elasticsearch.env"
  fi
  mkdir -p "$dir/config" "$dir/logs" "$dir/tmp" "$dir/native"
  cp "$here/log4j2.properties" "$dir/config/"
  { cat <<P
cluster.name: xmsec-test
node.name: xmsec-test
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
transport.port: $tport
path.data: $dir/data
path.logs: $dir/logs
path.repo: $dir/repo
# a full disk of the build machine must not make the indices read-only
cluster.routing.allocation.disk.threshold_enabled: false
P
    local line; for line in "$@"; do echo "$line"; done
  } >"$dir/config/elasticsearch.yml"
  # The codec best_compression calls zstd natively; the published jars lack that library, the system's serves.
  local opts=() so
  for so in /usr/lib/*-linux-gnu/libzstd.so.1 /usr/lib64/libzstd.so.1; do
    if [ -e "$so" ]; then
      ln -sf "$so" "$dir/native/libzstd.so"
      opts=(-Des.nativelibs.path="$dir/native" -Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false)
      break
    fi
  done
  if "$java" --list-modules | grep -q '^jdk\.incubator\.vector'; then opts+=(--add-modules jdk.incubator.vector); fi
  setsid "$java" "-Xms${ES_HEAP:-1g}" "-Xmx${ES_HEAP:-1g}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -Djava.awt.headless=true -Djava.io.tmpdir="$dir/tmp" -Dlog4j2.disable.jmx=true -Dlog4j.shutdownHookEnabled=false "${opts[@]}" \
    --enable-native-access=ALL-UNNAMED \
    -cp "$eshome/classes:$eshome/lib/*" EsNode "$eshome" "$dir/config" >"$dir/logs/stdout.log" 2>&1 </dev/null &
  local pid=$!
  echo "$pid" >"$pidfile"
  local t=$((SECONDS + ${ES_START_S:-90}))
  until answers "$port"; do    # our own child: its command line, by which alive knows it, is empty for a moment while it starts
    kill -0 "$pid" 2>/dev/null || { tail -30 "$dir"/logs/{stdout,server}.log >&2 || true; rm -f "$pidfile"; die "the node ended"; }
    [ $SECONDS -lt $t ] || { stop_pid "$pidfile" "$dir" 5; die "no answer on port $port in ${ES_START_S:-90} s; see $dir/logs"; }
    sleep 0.2
  done
  echo "ES_URL=http://127.0.0.1:$port"
}

main "$@"
