"""The process and its machine: devices, seeds, memory, provenance."""
