"""Days of samples as Parquet files with a manifest, in a folder or an S3-compatible store (decision 0095)."""
