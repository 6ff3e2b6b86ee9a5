"""The audit of protected images."""
