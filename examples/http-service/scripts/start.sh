#!/bin/sh
# Starts the service, and lets go of everything that this script was given.
set -eu
mkdir -p /run/prices
cd /srv/prices
setsid python3 server.py --port "${PRICES_PORT:-8080}" \
  </dev/null >>/run/prices/log 2>&1 &
echo $! >/run/prices/pid
