"""Metrics for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # s, the buckets of the histogram


class Metrics:
    """Metrics of one service: requests by path and status, their times, the queue, and the process's memory and CPU."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ["path", "status"]
        self._requests = Counter("pixelrnn_requests", "Requests that were answered.", labels, registry=self._registry)
        self._seconds = Histogram(
            "pixelrnn_request_seconds",
            "Seconds from a request to its answer.",
            ["path"],
            registry=self._registry,
            buckets=BOUNDS,
        )

    def follow(self, name: str, description: str, now: Callable[[], float]) -> None:
        """Add a gauge whose value is what `now` returns."""
        Gauge(f"pixelrnn_{name}", description, registry=self._registry).set_function(now)

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
