"""Prices over HTTP: `/items/N` for N below 100, `/` for any of them, `/health`, and `/metrics` for Prometheus."""

import argparse
import http.server
import os
import random
import signal
import threading
import time

import metrics
import pricing

ITEMS = 100
FOLDER = os.path.dirname(os.path.abspath(__file__))


def release():
    with open(os.path.join(FOLDER, "RELEASE"), encoding="utf-8") as file:
        return file.read().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/metrics":
            return self.answer(200, self.server.metrics.text(), metrics.CONTENT_TYPE)
        if self.path == "/health":
            return self.answer(200, f"{self.server.release}\n")
        begun = time.monotonic()
        code, text = self.priced()
        # Counted before it is answered: who has the answer finds it counted.
        self.server.metrics.count(code, time.monotonic() - begun)
        return self.answer(code, text)

    def priced(self):
        try:
            item = self.item()
        except ValueError:
            return 404, "there is no such item\n"
        try:
            return 200, f"{item}: {pricing.price(item)} ({self.server.release})\n"
        except Exception as error:  # What a handler must not do is end the service.
            self.log_error("no price of %s: %r", item, error)
            return 500, "there is a mistake in this service\n"

    def item(self):
        if self.path == "/":
            return random.randrange(ITEMS)
        folder, _, number = self.path.rpartition("/")
        if folder != "/items" or not number.isdecimal() or int(number) >= ITEMS:
            raise ValueError(self.path)
        return int(number)

    def answer(self, code, text, kind="text/plain; charset=utf-8"):
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        pass


class Server(http.server.ThreadingHTTPServer):
    # What is being answered when the service is to end is answered first.
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address):
        super().__init__(address, Handler)
        self.release = release()
        self.metrics = metrics.Metrics(self.release)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--address", default="127.0.0.1")
    words = parser.parse_args()
    server = Server((words.address, words.port))
    end = threading.Thread(target=server.shutdown)
    signal.signal(signal.SIGTERM, lambda *_: end.start())
    with server:
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
