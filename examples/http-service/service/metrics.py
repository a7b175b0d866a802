"""What Prometheus reads: requests by code, and how long they took."""

import collections
import threading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    def __init__(self, release):
        self.release = release
        self.lock = threading.Lock()
        self.requests = collections.Counter({200: 0, 500: 0})
        self.buckets = [0] * len(BUCKETS_SECONDS)
        self.count_all = 0
        self.sum_seconds = 0.0

    def count(self, code, seconds):
        with self.lock:
            self.requests[code] += 1
            self.count_all += 1
            self.sum_seconds += seconds
            for at, limit in enumerate(BUCKETS_SECONDS):
                if seconds <= limit:
                    self.buckets[at] += 1

    def text(self):
        with self.lock:
            lines = [
                "# HELP http_requests_total Requests for prices, by the code of their answer.",
                "# TYPE http_requests_total counter",
            ]
            lines += [f'http_requests_total{{code="{code}"}} {count}' for code, count in sorted(self.requests.items())]
            lines += [
                "# HELP http_request_duration_seconds How long it took to find a price.",
                "# TYPE http_request_duration_seconds histogram",
            ]
            for limit, count in zip(BUCKETS_SECONDS, self.buckets):
                lines.append(f'http_request_duration_seconds_bucket{{le="{limit}"}} {count}')
            lines += [
                f'http_request_duration_seconds_bucket{{le="+Inf"}} {self.count_all}',
                f"http_request_duration_seconds_sum {self.sum_seconds:.9f}",
                f"http_request_duration_seconds_count {self.count_all}",
                "# HELP prices_release_info The release that answers.",
                "# TYPE prices_release_info gauge",
                f'prices_release_info{{release="{self.release}"}} 1',
            ]
        return "\n".join(lines) + "\n"
