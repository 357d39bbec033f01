"""The vocabulary: events, traces, ops, metrics, reports, units, errors. Imports nothing else of swaptrace."""
