"""Raw recordings of the BPF tier: append-only chunks of fixed-size records, and the rows they mean."""
