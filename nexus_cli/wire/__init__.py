"""Messages on the wire: samples, frames, topics, payloads; and the doors to the broker and to control's API."""
