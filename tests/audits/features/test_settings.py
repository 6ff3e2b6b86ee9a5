"""Who is asked in an audit, with which settings; and what an older version wrote of them."""

import json
from dataclasses import replace

import pytest
from plugins import plug

from veil.attacks.features import FEATURE_ATTACKERS, AttributeAttacker, ImageSearch, PersonFinder, Reconstructor
from veil.audits.features.settings import SCALES, FeatureAuditSettings, named, recorded_before, without_attackers
from veil.runtime.tables import UnknownName

SIGN = replace(FEATURE_ATTACKERS["linear"], name="sign", title="a stranger")


def names(settings: FeatureAuditSettings, kind: type = AttributeAttacker) -> list[str]:
    return [row.name for row in settings.of(kind)]


def test_rows_say_at_which_scales_they_are_asked() -> None:
    assert names(SCALES["smoke"]) == ["linear", "mlp"]
    assert names(SCALES["cpu"]) == ["linear", "mlp", "vgg", "resnet", "neighbours", "kernel"]
    assert names(SCALES["smoke"], Reconstructor) == ["mirror"]
    assert names(SCALES["paper"], Reconstructor) == ["mirror", "urec1", "urec2", "resrec"]
    assert names(SCALES["smoke"], ImageSearch) == ["inversion"]
    assert names(SCALES["smoke"], PersonFinder) == ["cosine", "matcher"]


def test_a_strangers_attacker_is_asked_without_being_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, FEATURE_ATTACKERS, sign=f"{__name__}:SIGN")
    assert names(SCALES["smoke"]) == ["linear", "mlp", "sign"]


def test_attackers_that_are_named_are_asked_in_that_order() -> None:
    settings = FeatureAuditSettings(attackers=named("mlp", f"{__name__}:SIGN", "linear", "mirror"))
    assert names(settings) == ["mlp", "sign", "linear"]
    with pytest.raises(UnknownName, match="no feature attacker 'forest'"):
        named("forest")


def test_settings_are_of_the_scale_and_of_ones_own() -> None:
    settings = FeatureAuditSettings(scale="smoke", changes={"mirror": {"epochs": 7}})
    mirror, linear, inversion, matcher = named("mirror", "linear", "inversion", "matcher")
    assert (settings.settings_of(mirror).epochs, settings.settings_of(mirror).width) == (7, 1 / 8)
    assert settings.settings_of(linear).epochs == 2
    assert settings.recorded(inversion)["searched"] == settings.searched
    recorded = settings.recorded(matcher)
    assert (recorded["components"], recorded["evennesses"]) == (16, [1.0, 0.3, 0.0])
    assert json.loads(json.dumps(recorded)) == recorded


def test_settings_of_an_older_version_are_read() -> None:
    before = {
        "seeds": 1, "judged": 24, "mirrored": True, "scale": "smoke", "inverted": 4, "components": 16,
        "attacks": {"linear": {"epochs": 2}, "inversion": {"steps": 10}},
    }  # fmt: skip
    assert without_attackers(before) == {"judged": 24, "mirrored": True, "scale": "smoke"}
    assert recorded_before(before) == {
        "linear": {"epochs": 2}, "inversion": {"steps": 10, "searched": 4}, "matcher": {"components": 16}
    }  # fmt: skip
    assert before["attacks"]["inversion"] == {"steps": 10}  # it is read, not changed
    assert recorded_before(SCALES["cpu"].common()) == {}
