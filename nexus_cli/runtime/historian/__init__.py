"""The role historian: frames from the broker, rows to the database, receipts back. `historian` joins them."""
