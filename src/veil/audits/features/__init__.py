"""The audit of features that a client sends."""
