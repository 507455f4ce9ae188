"""Sentences: what the grammar reads, what it says, and what it refuses."""

from __future__ import annotations

import math

import pytest

from generation import VOCABULARY, design
from generation.assets.library import FAMILIES, NOUNS
from generation.grammar import MAX_WORDS, Mention, Split, noun_phrase, parse, wordings
from generation.spec import Relation, mentions

PICKED = [f for f in FAMILIES.values() if f.graspable]
HOLDING = [f for f in FAMILIES.values() if f.receptacle]


def _said(mention: Mention) -> tuple[str, str, str]:
    return mention.size, mention.colour, mention.noun


@pytest.mark.parametrize(
    ("sentence", "target", "relation", "receptacle"),
    [
        ("put the banana in the blue bowl", ("", "", "banana"), "in", ("", "blue", "bowl")),
        ("Put the RED block on the plate!", ("", "red", "block"), "on", ("", "", "plate")),
        ("place a small red cube onto a tray", ("small", "red", "cube"), "on", ("", "", "tray")),
        ("please move the tiny crimson tin upon the big gray saucer",
         ("small", "red", "tin"), "on", ("large", "grey", "saucer")),
        ("could you grab the mug and drop it inside the basket",
         ("", "", "mug"), "in", ("", "", "basket")),
        ("the violet bowl should hold the lemon", ("", "", "lemon"), None, ("", "purple", "bowl")),
        ("take the toy tower from the table and put it on top of the cutting board",
         ("", "", "toy tower"), "on", ("", "", "cutting board")),
        ("carrot goes into baking dish", ("", "", "carrot"), "in", ("", "", "baking dish")),
    ],
)  # fmt: skip
def test_parse_reads_free_sentences(
    sentence: str, target: tuple[str, ...], relation: str | None, receptacle: tuple[str, ...]
) -> None:
    request = parse(sentence)
    assert _said(request.target) == target
    assert _said(request.receptacle) == receptacle
    assert request.relation == relation


def test_parse_reads_distractors_and_where_they_stand() -> None:
    request = parse(
        "put the red block on the plate next to a green mug with a large ball behind the can"
    )
    assert [(_said(e.mention), e.relation, e.anchor) for e in request.extras] == [
        (("", "green", "mug"), "next to", 1),
        (("large", "", "ball"), "", 2),
        (("", "", "can"), "in front of", 3),  # the ball is behind the can
    ]
    assert request.sentence is None  # the surroundings are not part of the instruction


def test_parse_reads_wildcards_and_themes() -> None:
    request = parse("put a fruit in some container")
    assert (request.target.tag, request.receptacle.tag) == ("fruit", "container")
    assert request.sentence is None
    assert parse("toys").target.tag == "toy"
    for scene in design("put a fruit in some container", n=6, seed=3):
        assert "fruit" in FAMILIES[scene.objects[0].family].tags
        assert "container" in FAMILIES[scene.objects[1].family].tags


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize("relation", ["on", "in"])
@pytest.mark.parametrize("size", ["", "small"])
def test_every_wording_is_read_back(split: Split, relation: Relation, size: str) -> None:
    for k, noun in enumerate(NOUNS):
        target = noun if NOUNS[noun].graspable else PICKED[k % len(PICKED)].nouns[-1]
        holder = HOLDING[k % len(HOLDING)].nouns[-1] if target == noun else noun
        said = wordings(
            noun_phrase(target, "red", size), relation, noun_phrase(holder, "teal"), split
        )
        assert len(said) == len(set(said)) >= 5
        for sentence in said:
            request = parse(sentence)
            assert _said(request.target) == (size, "red", target), sentence
            assert _said(request.receptacle) == ("", "teal", holder), sentence
            assert request.relation in (relation, None), sentence
            assert not request.extras
            assert len(sentence.split()) <= MAX_WORDS
            assert set(sentence.split()) <= set(VOCABULARY)


def test_splits_share_no_wording_family_or_noun() -> None:
    phrases = noun_phrase("block", "red"), noun_phrase("bowl", "blue")
    for relation in ("on", "in"):
        train = set(wordings(phrases[0], relation, phrases[1], "train"))
        heldout = set(wordings(phrases[0], relation, phrases[1], "heldout"))
        assert len(train) >= 15
        assert len(heldout) >= 15
        assert not train & heldout
        assert train | heldout == set(wordings(phrases[0], relation, phrases[1], "all"))
    words = {s: set() for s in ("train", "heldout")}
    for family in FAMILIES.values():
        words[family.split] |= {word for noun in family.nouns for word in noun.split()}
    # "toy" only qualifies a noun of its own family.
    assert not words["train"] & words["heldout"]
    assert len({noun for f in FAMILIES.values() for noun in f.nouns}) == sum(
        len(f.nouns) for f in FAMILIES.values()
    )


def test_vocabulary_is_sorted_and_holds_every_noun() -> None:
    assert list(VOCABULARY) == sorted(set(VOCABULARY))
    assert {word for noun in NOUNS for word in noun.split()} <= set(VOCABULARY)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("put the bananna in the bowl", "'bananna'.*did you mean banana"),
        ("put the block in sofa", "unknown object 'sofa'"),
        ("put the spaceship on the plate", "'spaceship'.*known are arch, .*tray"),
        ("put the blocks on the plate", "'blocks'.*plural: ask for one block"),
        ("put the red block onn the plate", "'onn'.*did you mean 'on'"),
        ("put the plate on the tray", "the plate cannot be picked up: choose one of arch, .*tower"),
        ("put the block on the eraser", "the eraser holds nothing: choose one of basket, .*tray"),
        ("put the container on the plate", "no container can be picked up"),
        ("put the block in a fruit", "no fruit holds anything"),
        ("put the block on the table", "the block .* is on the table already"),
        ("pick up the mug", "does not say where the mug goes"),
        ("put the red on the plate", "'red' .*describes no object"),
        ("put the block the plate", "cannot tell what 'the plate' is for"),
        ("please put", "no object in 'please put'"),
        ("", "'' has no words"),
        ("42 !?", "'42 !\\?' has no words"),
    ],
)
def test_what_cannot_be_done_is_named_in_one_line(sentence: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        design(sentence, n=1, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": []}, "no prompt"),
        ({"n": 0}, "n=0 scenes"),
        ({"seed": -1}, "seed=-1"),
        ({"designer": "oracle"}, "unknown designer 'oracle': use one of grammar"),
        ({"difficulty": "hard"}, "unknown difficulty 'hard': use one of easy, full"),
        ({"split": "test"}, "unknown split 'test': use one of train, heldout, all"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"prompts": "put the block on the plate", "n": 1, "seed": 0}
    with pytest.raises(ValueError, match=message):
        design(**{**good, **options})  # type: ignore[arg-type]  # wrong on purpose


def test_twins_are_refused() -> None:
    for prompt in (
        "put the red block on the plate with a red block",
        "put the red block on the plate with a small red block",
    ):
        with pytest.raises(ValueError, match="distractor and the target are both a red block"):
            design(prompt, n=1, seed=0)
    told = "put the large red block on the plate with a small red block"
    sizes = [max(o.parts[0].size) for o in design(told, n=1, seed=0)[0].objects]
    assert sizes[0] > sizes[2]


@pytest.mark.parametrize(
    "prompt",
    [
        "put the block on the plate",
        "put the crimson block on the navy plate",
        "put the small block on the plate",
        "put something in something",
        "put the banana in the bowl with a banana",
    ],
)
def test_instructions_fit_one_object_each(prompt: str) -> None:
    for scene in design(prompt, n=8, seed=0, difficulty="full"):
        for sentence in scene.task.paraphrases:
            for thing in scene.objects[:2]:
                (before,) = mentions(sentence, thing.noun)
                rivals = [
                    other
                    for other in scene.objects
                    if other.name != thing.name
                    and other.family == thing.family
                    and not (thing.colour in before.split() and other.colour != thing.colour)
                ]
                assert not rivals, f"{sentence!r} fits {thing.name} and {rivals[0].name}"


def test_the_users_own_words_are_kept() -> None:
    scene = design("Could you put the banana in the blue bowl?", n=1, seed=0)[0]
    assert scene.task.instruction == "could you put the banana in the blue bowl"
    assert scene.task.instruction in scene.task.paraphrases
    assert len(scene.task.paraphrases) > 10


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_free_choices_stay_in_their_split(split: Split) -> None:
    scenes = design("put something in something", n=10, seed=1, split=split)
    for scene in scenes:
        assert {FAMILIES[thing.family].split for thing in scene.objects} == {split}
        target, receptacle = scene.objects[:2]
        phrases = [noun_phrase(o.noun, o.colour) for o in (target, receptacle)]
        said = wordings(phrases[0], scene.task.relation, phrases[1], split)
        assert set(scene.task.paraphrases) <= set(said)
    assert len({scene.objects[0].family for scene in scenes}) >= 3
    assert len({scene.task.instruction for scene in scenes}) >= 8


@pytest.mark.parametrize(
    ("clause", "relation", "sign"),
    [("to the left of", "left of", 1), ("right of", "right of", -1)],
)
def test_relations_of_the_prompt_hold_in_the_scene(clause: str, relation: str, sign: int) -> None:
    # Left is +y, seen from the robot. Once the plate is placed by the mug, once the mug by it.
    by_mug = f"put the red block on the white plate {clause} a green mug"
    by_plate = f"put the red block on the white plate with a green mug {clause} the plate"
    for prompt, moved, fixed in ((by_mug, "plate", "mug"), (by_plate, "mug", "plate")):
        for scene in design(prompt, n=3, seed=0):
            things = {thing.family: thing for thing in scene.objects}
            assert len(scene.objects) == 3
            assert sign * (things[moved].pos[1] - things[fixed].pos[1]) > 0, (prompt, relation)


def test_next_to_means_near() -> None:
    for scene in design("put the red block on the white plate beside a green mug", n=3, seed=0):
        plate, mug = scene.objects[1:3]
        apart = math.dist(mug.pos, plate.pos)
        assert 0 < apart < mug.radius + plate.radius + 0.06 + 1e-3
