"""The bytes of what is released."""
