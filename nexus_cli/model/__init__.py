"""The site: its language (pydantic), the normal form (msgspec), and the snapshot that plan and control share."""
