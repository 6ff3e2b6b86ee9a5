"""Attacks on features that a client sends: private attributes, images, people."""
