"""What can be recorded on this machine, and what to do about the rest: small checks over a view of its files."""
