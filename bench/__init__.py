"""Measures the endpoint beside what one would use instead, on one machine in one run."""
