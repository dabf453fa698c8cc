"""What the benchmarks of the four uses need beside the library."""
