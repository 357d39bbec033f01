"""Pair reports of the same trace and judge the differences."""
