"""Pure array kernels: state over dense ids, no trace, no policy. Imports numpy and swaptrace.model only."""
