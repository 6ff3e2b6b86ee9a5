"""Files of every format as an earlier Veil wrote them, and what made them; `test_old_formats.py` reads them."""
