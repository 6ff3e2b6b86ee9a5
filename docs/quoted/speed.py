"""What the benchmarks measured: results/benchmarks, on two cores."""

from statistics import median

from quoted.sources import Conclusions, Numbers, percent, rows, some, table
from veil.jobs.rows import Row

NOISE, ENCRYPTION, TRAINING = "benchmarks/noise", "benchmarks/encryption", "benchmarks/training"
TRANSFORMATION, OBFUSCATION, ATTACKS = "benchmarks/transformation", "benchmarks/obfuscation", "benchmarks/attacks"
RIVALS = ("torchattacks", "foolbox", "art")
CIPHERS = ("tanaka", "pixel-same", "pixel-different")


def compared() -> list[Row]:
    """The one run of the benchmark of noise in which peers took part: everybody had the same photos and threads."""
    date = some(NOISE, contender=RIVALS[0])[-1]["date"]
    return some(NOISE, date=date)


def contender(name: str) -> Row:
    """A contender's row of that run."""
    (row,) = (row for row in compared() if row["contender"] == name)
    return row


def rate(name: str) -> float:
    """Photos a second."""
    return float(contender(name)["images_per_second"])


def best_rival() -> str:
    """The fastest peer."""
    return max(RIVALS, key=rate)


def to_floor(name: str = "veil", floor: str = "floor (network alone)") -> float:
    """Time in units of the bare passes'."""
    return rate(floor) / rate(name)


def memory(largest: bool) -> Row:
    """The row of the smaller folder, or of the larger one."""
    measured = sorted((row for row in compared() if row["kind"] == "memory"), key=lambda row: row["photos"])
    return measured[-1 if largest else 0]


def noise() -> str:
    """All contenders of that run."""
    lines = []
    for row in compared():
        if row["kind"] == "memory":
            continue
        kind = "bf16" if row["precision"] == "bfloat16" else ""
        floor = f"floor{'-' * bool(kind)}{kind} (network alone)"
        shares = ["–" if row[share] is None else percent(row[share], 0) for share in ("success", "misread")]
        rival = f"{rate(row['contender']) / rate(best_rival()):.2f}" if row["kind"] == "contender" else "–"
        lines.append((row["contender"], f"{row['images_per_second']:.3g}", *shares, rival,
                      f"{to_floor(row['contender'], floor):.2f}", f"{row['peak_mib']:.0f}"))  # fmt: skip
    head = ("", "photos/s", "success, %", "misread, %", "× best peer", "× floor", "peak MiB")
    return table(head, lines)


def encrypted() -> list[Row]:
    """Veil's ciphers, small images first."""
    return [row for row in rows(ENCRYPTION) if row["contender"] in CIPHERS]


def encryption() -> str:
    """Every cipher and size."""
    return table(
        ("", "images", "images/s", "GB/s", "× scramblekit", "of a copy"),
        [(row["contender"], f"{row['images']:,} of {row['width']} × {row['height']}",
          f"{row['images_per_second']:,.0f}", f"{row['gigabytes_per_second']:.2f}", f"{row['times_scramblekit']:.1f}",
          f"{row['share_of_copy']:.2f}") for row in encrypted()],
    )  # fmt: skip


def training() -> str:
    """The loop beside the bare passes, by protection."""
    return table(
        ("protection", "images/s", "loop to bare passes", "protection's share of the loop"),
        [(row["protection"], f"{row['loop_images_per_second']:.0f}", f"{row['loop_to_bare']:.2f}",
          f"{row['protection_share']:.4f}") for row in rows(TRAINING)],
    )  # fmt: skip


def transformation() -> str:
    """Both runs, by what was done."""
    measured = rows(TRANSFORMATION)
    done = list(dict.fromkeys(row["what"] for row in measured))
    by_what = {what: [row["to_bare"] for row in measured if row["what"] == what] for what in done}
    heads = [f"run {n}, to bare passes" for n in range(1, 1 + max(map(len, by_what.values())))]
    return table(("", *heads), [(what, *(f"{ratio:.2f}" for ratio in ratios)) for what, ratios in by_what.items()])


def obfuscation() -> str:
    """One cycle, by the three ways."""
    (row,) = rows(OBFUSCATION)
    ways = {"Veil": "seconds", "the obvious way": "seconds_obvious", "bare passes": "seconds_bare"}
    lines = [(way, f"{median(row[field]):.2f}") for way, field in ways.items()]
    lines += [
        ("the obvious way, × Veil's time", f"{row['from_obvious']:.1f}"),
        ("Veil's time, × the bare passes", f"{row['to_bare']:.2f}"),
        ("largest difference of an epoch's mean losses, float32", f"{row['largest_difference']:.4f}"),
    ]
    return table(
        (f"{row['precision']}", f"seconds for {row['images']} images, median of {len(row['seconds'])} turns"), lines
    )


def attacks() -> str:
    """By size and batch."""
    return table(
        ("pixels", "batch", "Veil's layer, images/s", "loop, × its time", "`baddbmm`, × its time"),
        [(f"{row['width']} × {row['height']}", str(row["batch"]), f"{row['layer_images_per_second']:,.0f}",
          f"{row['loop_to_layer']:.0f}", f"{row['bmm_to_layer']:.0f}") for row in rows(ATTACKS)],
    )  # fmt: skip


def allocator() -> str:
    """Milliseconds a photo."""
    return table(
        ("model, batch", "memory kept, ms a photo", "returned, ms a photo", "×"),
        [(f"{row['model']}, {row['batch']}", f"{row['ms_per_photo_kept']:.1f}", f"{row['ms_per_photo_returned']:.1f}",
          f"{row['ratio']:.2f}") for row in rows("benchmarks/allocator")],
    )  # fmt: skip


def universal() -> str:
    """Seconds of each way."""
    (row,) = rows("benchmarks/universal")
    ways = {"together": "together", "one by one": "one by one", "floor": "bare passes"}
    return table(
        ("", f"seconds for {row['iterations']} iterations, median of {len(row['seconds, together'])} turns",
         "× bare passes"),
        [(title, f"{median(row[f'seconds, {way}']):.1f}", f"{row[f'ratio to the floor, {way}']:.2f}")
         for way, title in ways.items()],
    )  # fmt: skip


def memory_of_rows() -> str:
    """What each stage holds, of few rows and of many."""
    latest = {(row["stage"], row["rows"]): row for row in rows("benchmarks/rows")}
    counts = sorted({count for _, count in latest})
    return table(
        ("", *(f"peak MiB, {count:,} rows" for count in counts), f"minutes, {counts[-1]:,} rows"),
        [(stage, *(f"{latest[stage, count]['peak_mib']:.0f}" for count in counts),
          f"{latest[stage, counts[-1]]['seconds'] / 60:.1f}") for stage in dict.fromkeys(stage for stage, _ in latest)],
    )  # fmt: skip


TABLES: Numbers = {
    "speed.noise": noise,
    "speed.encryption": encryption,
    "speed.training": training,
    "speed.transformation": transformation,
    "speed.obfuscation": obfuscation,
    "speed.attacks": attacks,
    "speed.allocator": allocator,
    "speed.universal": universal,
    "speed.rows": memory_of_rows,
}
NUMBERS: Numbers = {
    "speed.photos": lambda: str(contender("veil")["photos"]),
    "speed.best-peer": best_rival,
    "speed.peers": lambda: str(len(RIVALS)),
    "speed.to-best-peer": lambda: f"{rate('veil') / rate(best_rival()):.1f}",
    "speed.success": lambda: percent(contender("veil")["success"], 0),
    "speed.success.best-peer": lambda: percent(contender(best_rival())["success"], 0),
    "speed.to-floor": lambda: f"{to_floor():.2f}",
    "speed.memory.photos": lambda: f"{memory(False)['photos']:,}",
    "speed.memory": lambda: f"{memory(False)['peak_mib']:.0f}",
    "speed.memory.more-photos": lambda: f"{memory(True)['photos']:,}",
    "speed.memory.more": lambda: f"{memory(True)['peak_mib']:.0f}",
    "speed.version.torchattacks": lambda: str(contender("torchattacks")["version"]),
    "speed.version.foolbox": lambda: str(contender("foolbox")["version"]),
    "speed.version.art": lambda: str(contender("art")["version"]),
}
CONCLUSIONS: Conclusions = {
    "speed.noise.aims": lambda: rate("veil") / rate(best_rival()) >= 8 and to_floor() > 1.15,
    "speed.encryption.aims": lambda: (
        all(row["times_scramblekit"] < 30 for row in encrypted() if row["contender"] == "tanaka")
        and max(row["times_scramblekit"] for row in encrypted()) >= 30
        and min(row["share_of_copy"] for row in encrypted()) < 0.1
    ),
    "speed.training.aims": lambda: all(
        row["loop_to_bare"] <= 1.15 and row["protection_share"] <= 0.1 for row in rows(TRAINING)
    ),
    "speed.transformation.aims": lambda: (
        all(row["to_bare"] <= 1.2 for row in rows(TRANSFORMATION) if row["what"] == "train cyclegan")
        and [row["to_bare"] <= 1.2 for row in rows(TRANSFORMATION) if row["what"] == "train unet"] == [True, False]
        and [row["to_bare"] <= 1.1 for row in rows(TRANSFORMATION) if row["what"] == "apply"] == [False, True]
    ),
    "speed.obfuscation.aims": lambda: all(
        row["from_obvious"] >= 2.5 and row["to_bare"] <= 1.2 for row in rows(OBFUSCATION)
    ),
    "speed.attacks.aims": lambda: sorted(row["loop_to_layer"] >= 50 for row in rows(ATTACKS)) == [False] + 5 * [True],
}
