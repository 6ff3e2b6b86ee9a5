"""Tables and pages rebuilt from rows: `summarise` gives numbers, `write_protection_report` a page."""

from veil.report.pictures import THUMBNAIL, amplification
from veil.report.protection import SHOWN, findings, headline, select, write_protection_report
from veil.report.summary import summarise

__all__ = [
    "SHOWN",
    "THUMBNAIL",
    "amplification",
    "findings",
    "headline",
    "select",
    "summarise",
    "write_protection_report",
]
