"""Benchmarks: ratios and counts, beside a peer in one run. Run by hand, never asserted."""
