"""The numbers that README and docs quote, filled in from the rows in results/: ``make docs``.

A page marks what it quotes by comments, which are invisible where Markdown is shown; see `quoted.marks`. A *number* is
rewritten from rows. A *table* is rewritten whole. A *conclusion*, such as "this does not hold", is written by hand and
tied to a condition on the rows: where new rows contradict it, the command fails, and somebody has to write it anew.

One module a subject (`noise`, `ciphers`, `features`, `fuzz`, `packaged`, `speed`, `costs`, `computed`) says of every
name from which rows it comes, how they are reduced, and with how many digits. To quote a number: add a line there,
write ``<!--n its.name--><!--/n-->`` into the page, run ``make docs``. `quoted.naked` finds numbers that were not
marked.
"""
