"""Numbers that look measured and are not marked: what was forgotten, or what is allowed for a reason.

Measured is what has decimals, a percent sign, or a unit of time, memory, speed or distance behind it, and "3 of 4"; and
the words "this holds" and "this does not hold". Code, links and what is marked do not count. Other whole numbers do not
count either: sizes, settings and counts are everywhere.
"""

import re
from collections.abc import Iterator

from quoted.marks import without

_NUMBER = r"(?<![\w.,])\d[\d,]*(?:\.\d+)?"
_WORD = r"(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|hundred|thousand)"
_UNIT = r"(?:%|times|×|[KMG]i?B|s\b|seconds?\b|ms\b|min\b|minutes\b|h\b|hours\b|nats\b|dB\b|points\b)"
MEASURED = re.compile(
    rf"(?<![\d.])\d+\.\d+(?!\.?\d)|{_NUMBER}\s{_UNIT}|{_NUMBER} of (?:the |them |at most |all )?{_NUMBER}"
    rf"|\b{_WORD}\s(?:times|points|minutes|hours|seconds)\b|\ba (?:third|fourth|fifth|sixth|tenth|hundredth)\b"
    r"|\bthis (?:holds|does not hold)\b"
)
_UNSEEN = re.compile(r"```.*?```|`[^`\n]*`|(?<=\])\([^)]*\)|<!--.*?-->", re.DOTALL)
_DIMENSIONS = re.compile(r"\d+ × (?=[\dHW])")

PRINTED, SETTING, AIM, DEFINED = "printed in the paper", "a setting", "an aim", "follows from a definition"
ALLOWED: dict[str, dict[str, str]] = {
    "README.md": {
        "Python 3.11 or later": "a requirement",
        "up to 8 of 255": SETTING,
        "at most 3 of 255": SETTING,
    },
    "benchmarks/README.md": {
        "take turns, three times": SETTING,
        "the target at 0.99 or more": SETTING,
        "Veil at 8 or more and at 1.15 or less": AIM,
        "30 or more, and 0.1 or more": AIM,
        "10,000 of 32": SETTING,
        "1.15\nor less, 0.1 or less": AIM,
        "each discriminator three times": "what the mathematics needs",
        "1.2 or less for training, 1.1 or less for": AIM,
        "at least 2.5 times the obvious way,\nwithin 1.2 times the bare passes": AIM,
        "Aim: 50 times the loop": AIM,
        "Aim: below\n300 MiB for 1,000,000 rows": AIM,
    },
    "docs/audit.md": {
        "from 0.1 of it": SETTING,
        "1 %, 10 % and 100 %": SETTING,
    },
    "docs/keys.md": {
        "128 MiB of memory": "128 · n · r bytes of scrypt, with n and r of the file",
        "256 GiB": "the 2³² blocks of 64 bytes of ChaCha20",
        "512 MiB": SETTING,
    },
    "docs/obfuscation.md": {
        "from an MS-SSIM of 0.9458 to 0.3175": PRINTED,
        "has 0.31 for them (Table 3)": PRINTED,
        "right in 28 %": PRINTED,
        "from 97.36 to 58.85 %": PRINTED,
        "58.85 % is about": PRINTED,
        "(58.3 %)": "CelebA's share of women",
        "loses two points": PRINTED,
        "99.9th percentile": SETTING,
        "8 and 20 %": SETTING,
        "10 and 20 %": SETTING,
    },
    "docs/protect.md": {
        "(0.99) or more": SETTING,
        "more than 4 MiB": SETTING,
        "256 MiB (on Linux": SETTING,
    },
    "docs/study.md": {
        "right in 28 %": PRINTED,
        "guessing gives 25 %": DEFINED,
        "28 % right answers": PRINTED,
        "include 25 %": DEFINED,
        "16 KiB": SETTING,
        "1 KiB; none": SETTING,
        "20 s each": SETTING,
        "| 20 s |": SETTING,
    },
    "docs/training.md": {
        "0.1, divided by": SETTING,
        "up to 0.2 and": SETTING,
        "184 MB": "60,000 images of 3 × 32 × 32 bytes",
    },
    "docs/transformation.md": {"a guess 1 %": DEFINED},
    "docs/which.md": {
        "at most 3 of 255": SETTING,
        "| 10 % |": DEFINED,
        "| 1 % |": DEFINED,
        "scores 50 %": DEFINED,
    },
    "src/veil/models/packaged/README.md": {
        "section 5.1": "a section",
        "(99.5 % is common)": "what others reach",
    },
    "src/veil/protections/transformation/packaged/README.md": {"2 of 5 skips": SETTING},
}
"""What looks measured and is not, by page, and why."""


def naked(page: str, name: str) -> Iterator[str]:
    """Every number that looks measured, is not marked and not allowed, with what stands around it."""
    text = _blank(_UNSEEN, without(page))
    text = _blank(_DIMENSIONS, text)
    for allowed in ALLOWED.get(name, ()):
        text = text.replace(allowed, re.sub(r"[^\n]", " ", allowed))
    for match in MEASURED.finditer(text):
        around = text[max(0, match.start() - 30) : match.end() + 20]
        yield f"not marked: {match.group()!r} in {' '.join(around.split())!r}"


def stale(page: str, name: str) -> Iterator[str]:
    """What is allowed on a page and not there any more."""
    yield from (allowed for allowed in ALLOWED.get(name, ()) if allowed not in page)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
