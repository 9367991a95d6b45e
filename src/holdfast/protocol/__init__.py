"""What crosses the wire: messages, their bytes, and the catalogue of errors."""
