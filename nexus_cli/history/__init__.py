"""Stored values for people and programs: samples, buckets, gaps and seams of one series."""
