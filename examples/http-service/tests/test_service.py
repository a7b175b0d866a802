"""The service as it is built, asked over HTTP. That it prices the first few items is all that is looked at: the faulty release
passes, as faulty releases do."""

import os
import pathlib
import sys
import threading
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "dist" / "service"))

import server  # noqa: E402


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = server.Server(("127.0.0.1", 0))
        cls.thread = threading.Thread(target=cls.server.serve_forever, kwargs={"poll_interval": 0.01})
        cls.thread.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.thread.join()
        cls.server.server_close()

    def ask(self, path):
        url = f"http://127.0.0.1:{self.server.server_address[1]}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()

    def test_an_item_has_a_price(self):
        self.assertIn(f"({os.environ['RELEASE']})", self.ask("/items/3"))

    def test_there_are_a_hundred_items(self):
        for path in ["/items/100", "/items/-1", "/items/x", "/other"]:
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.ask(path)
            self.assertEqual(refused.exception.code, 404)
            refused.exception.close()

    def test_what_was_asked_is_counted(self):
        self.ask("/items/4")
        metrics = self.ask("/metrics")
        counted = [line for line in metrics.splitlines() if line.startswith('http_requests_total{code="200"}')]
        self.assertGreaterEqual(int(counted[0].split()[-1]), 1)
        self.assertIn('http_request_duration_seconds_bucket{le="+Inf"}', metrics)

    def test_it_says_which_release_it_is(self):
        self.assertEqual(self.ask("/health").strip(), os.environ["RELEASE"])


if __name__ == "__main__":
    unittest.main()
