"""Attacks on what protections release. Each receives what its threat model grants, never a scheme's module."""
