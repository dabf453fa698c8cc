"""Helpers of the benchmarks of the four uses."""

"""What the benchmarks of the four uses need beside the library."""
