"""Feeds damaged and hostile files and requests to every reader of Veil: ``make fuzz``.

A *reader* is a function of Veil that reads what a stranger may have made (`readers`, one row each). A *seed* is a good
file from ``tests/corpus`` or an old one from ``tests/support/old_formats``. *Mutators* change seeds: any bytes
(`mutators`), or fields of a format, so that a checksum or a length still fits (`structures`). A *worker* is a process
that reads mutated files under limits of time and memory (`worker`); it may crash. The *campaign* starts workers again,
reduces what failed to a small file (`minimise`), and keeps that in ``tests/fuzz/failures``.

A reader may do two things with an input: read it, or refuse it with its documented error, raised by Veil itself, whose
message is one line. Everything else is a failure: another exception, a crash, more time or memory than its row states.
"""
