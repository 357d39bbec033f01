"""Foreign recordings become traces: perf.data, perf script text, ftrace text and raw pages, Parquet."""
