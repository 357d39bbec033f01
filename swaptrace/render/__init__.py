"""Reports, diffs, summaries and policies as text, mail text and JSON; nothing is computed here."""
