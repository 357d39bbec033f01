"""Run a trace through policies: events to objects, ops through stages and layout, ledger to report."""
