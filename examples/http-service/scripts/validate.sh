#!/bin/sh
# Waits until the service says that it is well, and that it is this release.
set -eu
exec python3 /srv/prices/well.py --port "${PRICES_PORT:-8080}" --release "$(cat /srv/prices/RELEASE)"
