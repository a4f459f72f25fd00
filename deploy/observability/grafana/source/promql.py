"""Expressions that many panels need."""

WINDOW = "[$__rate_interval]"


def rate(metric, by="", labels=""):
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{labels}}}{WINDOW}))"


def quantile(q, metric, by="", labels=""):
    grouped = ", ".join(part for part in (by, "le") if part)
    return f"histogram_quantile({q}, sum by ({grouped}) (rate({metric}_bucket{{{labels}}}{WINDOW})))"


def mean(metric, by="", labels=""):
    return f"{rate(metric + '_sum', by, labels)} / {rate(metric + '_count', by, labels)}"


def process(job):
    """The rows that every program has."""
    from panels import graph

    chosen = f'job="{job}",instance=~"$instance"'
    return [
        graph("Processor", "Cores in use.", "none", ("{{instance}}", f"rate(process_cpu_time_seconds_total{{{chosen}}}{WINDOW})"),
              book="threads-busy"),
        graph("Threads", "Share of their time that the worker threads are busy. At 1 everybody waits.", "percentunit",
              ("{{instance}}", f"{rate('tokio_worker_busy_time_seconds_total', 'job, instance', chosen)} "
               f"/ on (job, instance) max by (job, instance) (tokio_workers{{{chosen}}})"), book="threads-busy"),
        graph("Tasks", "Tasks that live, and how many of them wait for a thread.", "short",
              ("{{instance}} alive", f"tokio_tasks_alive{{{chosen}}}"),
              ("{{instance}} waiting", f"tokio_queue_depth{{{chosen}}}")),
        graph("Memory", "What is resident.", "bytes", ("{{instance}}", f"process_memory_usage_bytes{{{chosen}}}"),
              book="memory-grows"),
        graph("File descriptors", "Share of the limit. From 7/8 on people are told to come back later.", "percentunit",
              ("{{instance}}", f"process_open_file_descriptor_count{{{chosen}}} / process_open_file_descriptor_limit{{{chosen}}}"),
              book="near-the-limit", marks=None),
        graph("Up since", "A line that falls to the ground is a start.", "s", ("{{instance}}", f"process_uptime_seconds{{{chosen}}}"),
              book="instance-down"),
        graph("Telemetry that did not arrive", "Spans and log records that the collector did not take.", "cps",
              ("{{instance}} {{signal}}", f"rate(streamit_telemetry_dropped_total{{{chosen}}}{WINDOW})"), book="telemetry-lost"),
    ]  # fmt: skip
