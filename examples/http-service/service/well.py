"""Waits until the service answers as the release that it should be; ends with 1 when it does not within 20 seconds."""

import argparse
import sys
import time
import urllib.request

WAIT_SECONDS = 20


def asked(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
        return answer.read().decode().strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", required=True)
    words = parser.parse_args()
    until = time.monotonic() + WAIT_SECONDS
    found = "nothing was asked"
    while time.monotonic() < until:
        try:
            found = f"release {asked(words.port)} answers"
        except OSError as error:
            found = str(error)
        if found == f"release {words.release} answers":
            return 0
        time.sleep(0.1)
    print(f"release {words.release} does not answer at port {words.port}: {found}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
