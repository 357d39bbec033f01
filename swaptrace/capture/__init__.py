"""Record the running kernel: swap areas, counters, tracepoints through tracefs or perf, and the workload."""
