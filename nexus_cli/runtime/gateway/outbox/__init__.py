"""The disk log that keeps every frame until its receipt, and the publisher that sends from it."""
