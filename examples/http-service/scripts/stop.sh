#!/bin/sh
# Ends the service once it has answered what it was asked. That it does not run is fine.
set -eu
pid=$(cat /run/prices/pid 2>/dev/null) || exit 0
kill "$pid" 2>/dev/null || exit 0
tries=0
while kill -0 "$pid" 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -gt 300 ]; then
    echo "the service (process $pid) has not ended for 30 seconds" >&2
    exit 1
  fi
  sleep 0.1
done
rm -f /run/prices/pid
