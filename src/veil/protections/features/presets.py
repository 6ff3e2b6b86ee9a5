"""Three ways to train an obfuscator: Veil's, that of Li et al. 2019, and that of the code which its authors published.

Sources: Li et al. 2019 (https://arxiv.org/abs/1909.04126), Algorithm 1 and section 4.1, for ``paper``; the authors'
repository for ``authors-code``. ``veil`` is ours: a few values are sent instead of maps, adversaries learn several
times for each step of the obfuscator and begin anew, and the defence is done where they have no opinion.
"""

from veil.protections.features.settings import ObfuscatorPreset, ObfuscatorSettings

VEIL = ObfuscatorPreset(
    name="veil",
    title="32 values of four levels, which hide more",
    settings=ObfuscatorSettings(
        values=32, levels=4, reader=64, head="pool", pretraining=8, attackers=0, epochs=8, batch_size=128,
        learning_rate=1e-3, falling=True, phases=("joint",), lambda1=2.0, lambda2=0.0, lambda3=10.0, bounded=True,
        target="mean", steps=8, adversaries=2, renewed=1, clip=1.0, padding=2, factors=(0.25, 0.5, 0.75, 1.0),
    ),
)  # fmt: skip
PAPER = ObfuscatorPreset(name="paper", title="Algorithm 1 of Li et al. 2019", settings=ObfuscatorSettings())
AUTHORS_CODE = ObfuscatorPreset(
    name="authors-code",
    title="the training that the paper's authors published",
    settings=ObfuscatorSettings(
        epochs=20, batch_size=32, attackers=1, reconstructor=20, idle="train", sigmoid=False, target="fixed-noise",
        phases=("defend-noise", "defend-original", "defend-attributes", "attack", "recover"),
        factors=(10.0,) * 10 + tuple(float(factor) for factor in range(9, 0, -1)) + (1.0,),
    ),
)  # fmt: skip
