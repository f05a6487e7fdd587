"""What a site is: the language (pydantic), the normal form (msgspec), and the snapshot that plan and control share."""
