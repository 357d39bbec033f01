"""How a swap entry resolves to its data, one layout per file. Same skeleton in each: a diff shows the idea."""
