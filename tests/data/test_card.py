"""Every set has a card, and what a card says of a set is so."""

from __future__ import annotations

import dataclasses

import pytest

from dlcore import data
from dlcore.data import Card, _card_table, card, synthetic

NO_SETS = {"DATE_CHARACTERS", "DATE_FORMS", "read_dates", "rosenbrock", "valley"}


def test_every_bundled_synthetic_and_well_known_set_has_a_card_and_nothing_else():
    assert set(_card_table.rows()) == {*data.names(), *synthetic.__all__} - NO_SETS


@pytest.mark.parametrize("name", sorted(_card_table.rows()))
def test_a_card_is_filled_in_and_shown(name):
    found = card(name)
    assert isinstance(found, Card) and found.name == name
    texts = [value for field, value in dataclasses.asdict(found).items() if field != "classes"]
    assert all(isinstance(text, str) and text.strip() == text != "" for text in texts)
    for shown in (repr(found), found._repr_html_()):
        assert "licence" in shown and name in shown and found.splits in shown
    assert len(set(found.classes)) == len(found.classes)


@pytest.mark.parametrize("name", data.names()[:5])
def test_the_card_of_a_bundled_set_agrees_with_the_set(name):
    found, dataset = card(name), data.load(name)
    rows = sum(len(arrays["x"]) for arrays in dataset.splits.values())
    assert found.size.split()[0] == f"{rows:,}"
    assert found.shapes == f"x {dataset.train['x'].shape[1:]}, y {dataset.train['y'].shape[1:]}"
    assert found.classes == dataset.classes


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["chirps", "circles", "dates", "moons", "spirals", "tones", "xor"])
def test_the_card_of_a_synthetic_set_agrees_with_the_set(name):
    batch, found = getattr(synthetic, name)(0, 60), card(name)
    shapes = {part: str(array.shape[1:]) for part, array in batch.items()}
    assert found.shapes.replace("length", "1024") == f"x {shapes['x']}, y {shapes['y']}"
    if found.classes:
        assert len(found.classes) == int(batch["y"].max()) + 1


def test_terms_and_sizes_of_well_known_sets_are_those_of_their_pages():
    terms = {name: card(name).licence for name in data.names()[5:]}
    assert terms["fashion_mnist"] == "MIT" and terms["kmnist"] == "CC BY-SA 4.0"
    assert terms["mnist"].startswith("CC BY-SA 3.0") and terms["cifar10"] == terms["cifar100"] == "none stated"
    assert [len(card(name).classes) for name in data.names()[5:]] == [10, 100, 10, 10, 10]
    assert list(card("cifar100").classes) == sorted(card("cifar100").classes)


def test_many_classes_are_shortened_and_markup_is_escaped():
    assert "100: apple, aquarium_fish, baby, bear, beaver, ..., worm" in repr(card("cifar100"))
    assert "<b>a&lt;b</b>" in dataclasses.replace(card("iris"), name="a<b")._repr_html_()


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ValueError, match="no card of 'fashion-mnist'; did you mean 'fashion_mnist'"):
        card("fashion-mnist")
