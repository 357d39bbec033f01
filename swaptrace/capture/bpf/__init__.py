"""The BPF tier: one object on raw tracepoints sees slot, owner, content hash and stored size of every swapped page."""
