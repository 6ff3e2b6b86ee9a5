"""Tables and pages rebuilt from rows: `summarise` gives numbers, `write_protection_report` a page."""

from veil.report.pictures import THUMBNAIL, amplification
from veil.report.protection import findings, headline, reservations, write_protection_report
from veil.report.row_digest import SHOWN, Digest, digest, select
from veil.report.summary import summarise

__all__ = [
    "SHOWN",
    "THUMBNAIL",
    "Digest",
    "amplification",
    "digest",
    "findings",
    "headline",
    "reservations",
    "select",
    "summarise",
    "write_protection_report",
]
