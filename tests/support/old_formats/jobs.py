"""The commands that made the fixtures, by name, to be given in their folder; the tests give them again.

They say device and precision, so that a machine that prefers others can go on with them.
"""

PASSPHRASE = "not a secret"
_CPU = ("--device", "cpu")
_CARD = ("--model", "card/model.toml")
_NOISE = (*_CARD, *_CPU, "--precision", "float32")
_DESCENT = (*_NOISE, "--max-iterations", "30", "--budget", "32", "--step", "4", "--required-score", "0.3")
_TRAINING = ("--data", "small", "--network", "resnet18", *_CPU, "--precision", "32-true")
_PLAIN, _SEALED = ("--key", "keys/plain.key"), ("--key", "keys/sealed.key")
_CLIENT, _SERVICE = "obfuscator/client.safetensors", "obfuscator/service.safetensors"
_SMOKE = ("--scale", "smoke", *_CPU)
_FACES = ("--data", "faces", "--target", "Smiling", "--hide", "Male", *_SMOKE, "--precision", "32-true")
_ATTACKS = "pixel-statistics,known-plaintext,chosen-plaintext,affine,inverse"
_DRAWN = "audits/drawn"

JOBS: dict[str, tuple[str, ...]] = {
    "key-plain": ("key", "new", "keys/plain.key"),
    "key-sealed": ("key", "new", "keys/sealed.key", "--passphrase"),
    "key-show": ("key", "show", "keys/sealed.key", "--json"),
    "train": ("train", "-o", "card", *_TRAINING, "--width", "2", "--epochs", "60", "--batch-size", "8"),
    "train-stopped": ("train", "-o", "training", *_TRAINING, "--width", "1", "--epochs", "2", "--batch-size", "2"),
    "inspect": ("inspect", "photos/colour.png", *_CARD, "--top", "4", "--json"),
    "fit-noise": ("fit-noise", "photos", "-o", "noise.safetensors", *_CARD, *_CPU, "--budget", "8",
                  "--iterations", "40", "--batch-size", "2"),
    "protect-crs": ("protect", "photos", "-o", "protected/crs", "--scheme", "crs", *_DESCENT, "--excluded-top", "1",
                    "--json"),
    "protect-cis": ("protect", "photos", "-o", "protected/cis", "--scheme", "cis", *_DESCENT, "--format", "webp",
                    "--survival", "--json"),
    "protect-entropy": ("protect", "photos", "-o", "protected/entropy", "--scheme", "entropy", *_DESCENT,
                        "--format", "tiff", "--json"),
    "protect-universal": ("protect", "photos", "-o", "protected/universal", "--scheme", "entropy", *_NOISE,
                          "--universal", "noise.safetensors", "--json"),
    "protect-stopped": ("protect", "some", "-o", "protected/stopped", "--scheme", "crs", *_DESCENT, "--json"),
    "encrypt-tanaka": ("encrypt", "photos", "-o", "encrypted/tanaka", "--cipher", "tanaka", *_PLAIN, "--json"),
    "encrypt-same": ("encrypt", "photos", "-o", "encrypted/same", "--cipher", "pixel", *_SEALED, "--format", "webp",
                     "--json"),
    "encrypt-different": ("encrypt", "photos", "-o", "encrypted/different", "--cipher", "pixel", "--per-image",
                          "--format", "tiff", "--json"),
    "decrypt-tanaka": ("decrypt", "encrypted/tanaka", "-o", "decrypted", *_PLAIN, "--json"),
    "transform-train": ("transform", "train", "-o", "transformation", *_SMOKE, "--epochs", "1", "--images", "40",
                        "--precision", "32-true"),
    "transform-show": ("transform", "show", "transformation.safetensors", "--json"),
    "transform-apply": ("transform", "apply", "photos", "-o", "transformed", "--with", "transformation.safetensors",
                        *_CPU, "--json"),
    "obfuscate-train": ("obfuscate", "train", "-o", "obfuscator", *_FACES, "--values", "8"),
    "obfuscate-maps": ("obfuscate", "train", "-o", "maps", *_FACES, "--preset", "authors-code", "--reader", "8",
                       "--pretraining", "0", "--attackers", "0", "--epochs", "0"),
    "show-client": ("obfuscate", "show", _CLIENT, "--json"),
    "show-service": ("obfuscate", "show", _SERVICE, "--json"),
    "extract": ("obfuscate", "extract", "photos", "--client", _CLIENT, "-o", "features/values", *_CPU, "--json"),
    "extract-maps": ("obfuscate", "extract", "photos", "--client", "maps/client.safetensors", "-o", "features/maps",
                     *_CPU, "--json"),
    "classify-csv": ("obfuscate", "classify", "features/values", "--service", _SERVICE, "-o", "answers.csv", *_CPU),
    "classify-jsonl": ("obfuscate", "classify", "features/values", "--service", _SERVICE, "-o", "answers.jsonl",
                       *_CPU),
    "audit-images": ("audit", "pixel-same", "-o", "audits/images", "--data", "small", *_SMOKE, *_PLAIN,
                     "--classifier", "card/model.toml", "--attacks", _ATTACKS, "--json"),
    "audit-features": ("audit", _CLIENT, "-o", "audits/features", "--service", _SERVICE, "--data", "faces", *_SMOKE,
                       "--json"),
    "audit-drawn": ("audit", _CLIENT, "-o", "audits/features", "--service", _SERVICE, "--data", "faces", *_SMOKE,
                    "--save-reconstructions", _DRAWN, "--reconstructions", "12"),
    "study-new": ("study", "new", "--original", f"{_DRAWN}/original", "--reconstructed", f"{_DRAWN}/reconstructed",
                  "--identities", f"{_DRAWN}/identities.csv", "-o", "study", "--questions", "2", "--options", "2",
                  "--attention", "1", "--contact", "nobody"),
    "study-serve": ("study", "serve", "study", "--port", "0"),
    "study-report": ("study", "report", "study", "--json"),
    "reproduce-keys": ("reproduce", "sirichotedumrong2020", "key-statistics", "--scale", "smoke"),
    "reproduce-trade-off": ("reproduce", "li2019", "trade-off", *_SMOKE),
}  # fmt: skip
"""What each command is called here, and its words."""
