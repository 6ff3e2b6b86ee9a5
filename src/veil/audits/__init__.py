"""One audit of every protection: attackers from nothing, floors beside them, and what it comes to in words."""
