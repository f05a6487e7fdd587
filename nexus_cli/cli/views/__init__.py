"""Values to text: pure functions, rendered from the JSON form."""
