"""Helpers of the benchmarks of the four uses."""
