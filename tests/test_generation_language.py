"""Sentences: what the grammar reads, what it says, and what it refuses."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from language_tables import (
    COUNTED,
    FEWER,
    NEGATED,
    NO_THINGS,
    REFUSED,
    SENTENCES,
    UNKNOWN,
    UNSURE,
    WRONG_WORDS,
)

from generation import VOCABULARY, design
from generation.assets.library import FAMILIES, NOUNS
from generation.designer import design_scene, known_families, notes_of
from generation.language.chunks import Mention
from generation.language.grammar import MAX_WORDS, Split, noun_phrase, parse, wordings
from generation.language.grammar_designer import grammar_designer
from generation.language.lexicon import GRAMMAR
from generation.language.themes import THEMES, nearest_theme
from generation.language.tokens import tokenize
from generation.language.words import THRESHOLD, match_noun, stand_in
from generation.spec import SUPPORTS, Relation, mentions

PICKED = [f for f in FAMILIES.values() if f.graspable]
HOLDING = [f for f in FAMILIES.values() if f.receptacle]
RELATIONS: tuple[Relation, ...] = (
    *SUPPORTS, "next to", "left of", "right of", "in front of", "behind"
)  # fmt: skip


def _said(mention: Mention | None) -> tuple[str, str, str]:
    assert mention is not None
    return mention.size, mention.colour, mention.noun


def _phrase(mention: Mention | None) -> str:
    assert mention is not None
    words = (mention.size, mention.colour, mention.material, mention.noun or f"<{mention.tag}>")
    count = [str(mention.count)] if mention.count > 1 else []
    return " ".join([*count, *(word for word in words if word)])


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES.items())
def test_free_sentences_are_read(sentence: str, expected: str) -> None:
    request = parse(sentence)
    said = f"{_phrase(request.target)} | {request.relation or ''} | {_phrase(request.receptacle)}"
    extras = "".join(f" + {_phrase(extra)}" for extra in request.extras)
    facts = "".join(f"; {a} {how} {b}" for a, how, b in request.facts)
    styles = "".join(f" @{style}" for style in (request.table, request.room) if style)
    assert said + extras + facts + styles == expected


@pytest.mark.parametrize(("sentence", "message"), REFUSED.items())
def test_what_cannot_be_done_is_named_in_one_line(sentence: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        design(sentence, n=1, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("sentence", "wrong", "right"), WRONG_WORDS)
def test_misspellings_are_read(sentence: str, wrong: str, right: str) -> None:
    assert tokenize(sentence, FAMILIES)[1][wrong] == right
    assert parse(sentence).target == parse(sentence.replace(wrong, right)).target
    assert parse(sentence).sentence is None  # an instruction has no misspelt words


def test_long_prompts_are_refused_quickly() -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="a prompt of 10000 characters"):
        parse("put the red " * 833 + "bowl")
    with pytest.raises(ValueError, match="a prompt of 250 words"):
        parse("put " * 250)
    assert time.process_time() - began < 5  # a second at most, on a slow machine


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(sorted(GRAMMAR) + [(noun,) for noun in sorted(NOUNS)]), max_size=18)
)
def test_random_words_raise_nothing_but_value_errors(phrases: list[tuple[str, ...]]) -> None:
    try:
        request = parse(" ".join(" ".join(phrase) for phrase in phrases))
    except ValueError as error:
        complaint = str(error)
    else:
        assert request.theme or (request.target and request.receptacle)
        return
    assert complaint
    assert "\n" not in complaint


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_random_characters_raise_nothing_but_value_errors(text: str) -> None:
    complaint = ""
    try:
        parse(text)
    except ValueError as error:
        complaint = str(error)
    assert "\n" not in complaint


# Negations, choices and counts -------------------------------------------------------------------


@pytest.mark.parametrize("sentence", NEGATED)
def test_what_not_to_do_is_no_task(sentence: str) -> None:
    with pytest.raises(ValueError, match="says what not to do: write what to do"):
        design(sentence, n=1, seed=0)


def test_a_theme_keeps_clear_of_what_is_not_to_be_done() -> None:
    request = parse("a messy breakfast table, but don't put the banana on the plate")
    assert request.theme and "banana" not in request.theme
    assert not request.extras


@pytest.mark.parametrize(("sentence", "count"), COUNTED.items())
def test_distractors_are_counted_and_never_said(sentence: str, count: int) -> None:
    request = parse(sentence)
    assert request.distractors == count
    assert request.sentence in (None, "put the red cup into the box")


def test_scenes_hold_as_many_distractors_as_the_prompt_says() -> None:
    for difficulty in ("easy", "full"):
        for words, count in (("without any distractors", 0), ("with five distractors", 5)):
            prompt = f"put the red cup into the box {words}"
            scene = design(prompt, n=1, seed=0, difficulty=difficulty)[0]
            assert len(scene.objects) == 2 + count
            assert not any("distractor" in said for said in scene.task.paraphrases)
    named = design("put the egg in the bowl with a mug and two other things", n=1, seed=0)[0]
    assert len(named.objects) == 5
    assert named.objects[2].noun == "mug"
    assert len(design("a breakfast table with one distractor", n=1, seed=0)[0].objects) == 3


@pytest.mark.parametrize("sentence", UNSURE)
def test_sentences_that_choose_or_compare_are_no_instructions(sentence: str) -> None:
    assert parse(sentence).sentence is None
    assert sentence not in design(sentence, n=1, seed=0)[0].task.paraphrases


# Words without a family --------------------------------------------------------------------------


def test_unknown_nouns_find_a_fitting_family() -> None:
    right = wrong = refused = 0
    for noun, fitting in UNKNOWN.items():
        if noun in NOUNS:
            right += 1
            continue
        try:
            found = match_noun(noun, FAMILIES)
        except ValueError:
            refused += 1
            continue
        assert THRESHOLD <= found.score < 1
        if found.family in fitting.split():
            right += 1
        else:
            wrong += 1
    taken = 0
    for noun in NO_THINGS:
        try:
            match_noun(noun, FAMILIES)
        except ValueError:
            continue
        taken += 1
    precision, recall = right / (right + wrong + taken), right / len(UNKNOWN)
    assert precision > 0.86, (precision, recall)
    assert recall > 0.82, (precision, recall)
    assert taken <= 1


def test_matches_keep_to_the_families_that_are_asked_for() -> None:
    holding = {f.name: f for f in HOLDING}
    assert match_noun("mug", FAMILIES).score == 1
    assert match_noun("porringer", holding).family in holding
    with pytest.raises(
        ValueError, match=r"unknown object 'sofa': the nearest are .*\(0\.\d\d\), .*,"
    ):
        match_noun("sofa", FAMILIES)


def test_the_scene_keeps_the_users_noun() -> None:
    scene = design("put the goblet on the blue tray", n=1, seed=0)[0]
    target, tray = scene.graph.nodes[:2]
    assert target.noun == "goblet"
    assert target.family in FAMILIES
    assert THRESHOLD <= target.match < 1
    assert tray.match == 1
    assert all("goblet" in sentence for sentence in scene.task.paraphrases)


def test_vessels_that_hold_nothing_have_stand_ins() -> None:
    for noun in ("cup", "mug", "glass", "jar", "vase", "coffee mug"):
        holder = parse(f"put the pen in the {noun}").receptacle
        assert holder is not None
        assert holder.family is not None
        assert FAMILIES[holder.family].receptacle
        assert 0 < holder.match < 1
        assert parse(f"put the {noun} on the tray").target.family in ("mug", "jar", "vase")  # type: ignore[union-attr]  # there is a goal
    scene = design("put the pen in the cup", n=1, seed=0)[0]
    assert scene.graph.nodes[1].noun == "cup"
    assert stand_in("cup", FAMILIES, holding=True)
    assert stand_in("box", FAMILIES, holding=False)
    for noun in ("plate", "bin", "lid"):
        assert stand_in(noun, FAMILIES, holding=False) is None


@pytest.mark.parametrize("task", ["put the mug on the tray", "put the pen in the mug"])
def test_no_distractor_bears_the_noun_of_the_task(task: str) -> None:
    few = {name: FAMILIES[name] for name in ("mug", "marker", "tray", "pot", "bowl", "tub", "can")}
    imported = replace(FAMILIES["mug"], name="enamel_mug", nouns=("enamel mug",))
    for seed in range(6):
        scene = design_scene(
            task, 0, seed, difficulty="full", families={**few, "enamel_mug": imported}
        )
        assert "enamel_mug" not in {thing.family for thing in scene.objects}
        named = [o for o in scene.objects if o.noun.endswith("mug")]
        assert len({o.family for o in named}) == 1


def test_two_of_a_kind_are_told_apart() -> None:
    for prompt in (
        "the salt shaker should stand to the right of the pepper mill",
        "move the small box left of the big box",
        "put the big ball in front of the small ball",
    ):
        scene = design(prompt, n=1, seed=0, difficulty="full")[0]
        assert scene.task.instruction != prompt  # its words alone fit both
        assert scene.objects[0].colour != scene.objects[1].colour


def test_features_that_nothing_has_are_not_said() -> None:
    scene = design("put the marble in the bowl with the blue rim", n=1, seed=0)[0]
    assert not any("rim" in said.split() for said in scene.task.paraphrases)


# Saying ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize("relation", RELATIONS)
def test_every_wording_is_read_back(split: Split, relation: Relation) -> None:
    flat = [f for f in PICKED if "flat" in f.tags]
    holders = [f for f in HOLDING if relation in f.relations] or PICKED
    holders = flat if relation == "stacked on" else holders
    for k, family in enumerate(PICKED[:: 1 if relation in ("on", "in") else 9]):
        target, holder = family.nouns[-1], holders[k % len(holders)]
        if holder.name == family.name:
            continue
        phrases = (
            noun_phrase(target, "red", "small" if k % 2 else ""),
            noun_phrase(holder.nouns[0], "teal"),
        )
        said = wordings(phrases[0], relation, phrases[1], split)
        for sentence in said[:: 1 if k == 0 else 5]:
            request = parse(sentence)
            assert _said(request.target) == ("small" if k % 2 else "", "red", target), sentence
            assert _said(request.receptacle) == ("", "teal", holder.nouns[0]), sentence
            assert request.relation in (relation, None), sentence
            assert not request.extras
            assert len(sentence.split()) <= MAX_WORDS
            assert set(sentence.split()) <= set(VOCABULARY)


def test_splits_share_no_wording_family_or_noun() -> None:
    phrases = noun_phrase("block", "red"), noun_phrase("bowl", "blue")
    for relation in RELATIONS:
        train = wordings(phrases[0], relation, phrases[1], "train")
        heldout = wordings(phrases[0], relation, phrases[1], "heldout")
        for said in (train, heldout):
            assert len(said) == len(set(said)) >= 8
        assert not {*train} & {*heldout}
        assert {*train, *heldout} == {*wordings(phrases[0], relation, phrases[1], "all")}
    nouns = {s: {n for f in FAMILIES.values() if f.split == s for n in f.nouns} for s in
             ("train", "heldout")}  # fmt: skip
    assert not nouns["train"] & nouns["heldout"]


def test_vocabulary_is_sorted_and_holds_every_noun() -> None:
    assert list(VOCABULARY) == sorted(set(VOCABULARY))
    assert {word for noun in NOUNS for word in noun.split()} <= set(VOCABULARY)


@pytest.mark.parametrize(
    "prompt",
    [
        "put the block on the plate",
        "put the crimson block on the navy plate",
        "put the red and white block on the navy plate",
        "put the small wooden block on the plate",
        "put something in something",
        "put three tomatoes in the bowl",
        "put the banana left of the bowl with a banana",
        "toys",
    ],
)
def test_instructions_fit_one_object_each(prompt: str) -> None:
    for scene in design(prompt, n=3, seed=0, difficulty="full"):
        for sentence in scene.task.paraphrases:
            for thing in scene.objects[:2]:
                before = " ".join(mentions(sentence, thing.noun)).split()
                rivals = [
                    other
                    for other in scene.objects
                    if other.name != thing.name
                    and other.family == thing.family
                    and not (thing.colour in before and other.colour != thing.colour)
                ]
                assert not rivals, f"{sentence!r} fits {thing.name} and {rivals[0].name}"


def test_the_users_own_words_are_kept() -> None:
    scene = design("Could you put the banana in the blue bowl?", n=1, seed=0)[0]
    assert scene.task.instruction == "could you put the banana in the blue bowl"
    assert scene.task.instruction in scene.task.paraphrases
    assert len(scene.task.paraphrases) > 10


def test_far_likenesses_are_told() -> None:
    scene = design("put the goblet on the blue tray", n=1, seed=0)[0]
    goblet, *others = scene.graph.nodes
    for match, told in ((0.49, ("'gizmo' is drawn as a table clock (0.49)",)), (0.95, ())):
        gizmo = {"noun": "gizmo", "family": "table_clock", "match": match}
        nodes = (goblet.model_copy(update=gizmo), *others)
        graph = scene.graph.model_copy(update={"nodes": nodes})
        assert notes_of(scene.model_copy(update={"graph": graph})) == told


def test_a_folder_that_is_no_library_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=f"'{path}' is no asset library.*vla-jax import"):
            design("put the block on the plate", n=1, seed=0, library=path)
    (tmp_path / "assets").mkdir()
    assert known_families(tmp_path) == FAMILIES


# Scenes ------------------------------------------------------------------------------------------


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


def test_scenes_can_be_designed_one_by_one() -> None:
    prompts = ["put the block on the plate", "put a fruit next to a toy"]
    scenes = design(prompts, n=3, seed=4)
    assert design_scene(prompts[0], 2, 4) == scenes[2]
    assert design_scene(prompts[1], 1, 4) == scenes[1]


def test_a_designer_may_be_any_callable_with_its_own_families() -> None:
    few = {name: FAMILIES[name] for name in ("block", "tomato", "bowl")}
    scene = design_scene(
        "put something in something", 0, 0, designer=grammar_designer, families=few
    )
    assert {thing.family for thing in scene.objects} <= set(few)


def test_full_scenes_have_three_distractors_or_more() -> None:
    prompts = ["put the block on the plate", "put a fruit in a bowl", "toys"]
    scenes = design(prompts, n=6, seed=1, difficulty="full")
    assert min(len(scene.objects) for scene in scenes) >= 5


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


def test_of_several_one_is_the_target_and_the_others_are_there_already() -> None:
    for scene in design("put the two tomatoes in the bowl", n=3, seed=0):
        nodes = scene.graph.nodes
        assert [node.family for node in nodes[:3]] == ["tomato", "bowl", "tomato"]
        assert nodes[0].colour != nodes[2].colour
        assert scene.graph.carriers(nodes[2].name) == (nodes[1].name,)
        assert scene.graph.carriers(nodes[0].name) == ("table",)


def test_starts_materials_and_styles_reach_the_scene() -> None:
    prompt = "move the lemon from the basket to the wooden bowl on a marble counter in a kitchen"
    graph = design(prompt, n=1, seed=0)[0].graph
    lemon, bowl, basket = graph.nodes[:3]
    assert (lemon.family, bowl.material, basket.family) == ("lemon", "wood", "basket")
    assert graph.carriers(lemon.name) == (basket.name,)
    assert (graph.goal.relation, graph.table, graph.room) == ("in", "marble", "kitchen")


def test_wildcards_keep_to_their_tag() -> None:
    for scene in design("put a fruit in some container", n=6, seed=3):
        assert "fruit" in FAMILIES[scene.objects[0].family].tags
        assert "container" in FAMILIES[scene.objects[1].family].tags


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_free_choices_stay_in_their_split(split: Split) -> None:
    scenes = design("put something in something", n=8, seed=1, split=split)
    for scene in scenes:
        assert {FAMILIES[thing.family].split for thing in scene.objects} == {split}
        target, receptacle = scene.objects[:2]
        phrases = [noun_phrase(o.noun, o.colour) for o in (target, receptacle)]
        said = wordings(phrases[0], scene.task.relation, phrases[1], split)
        assert set(scene.task.paraphrases) <= set(said)
    assert len({scene.objects[0].family for scene in scenes}) >= 3
    assert len({scene.task.instruction for scene in scenes}) >= 7


@pytest.mark.parametrize(
    ("clause", "relation", "sign"),
    [("to the left of", "left of", 1), ("right of", "right of", -1)],
)
def test_relations_of_the_prompt_hold_in_the_scene(clause: str, relation: str, sign: int) -> None:
    # Left is +y, seen from the robot. Once the plate is placed by the mug, once the mug by it.
    by_mug = f"put the red block on the white plate {clause} a green mug"
    by_plate = f"put the red block on the white plate with a green mug {clause} the plate"
    for prompt, moved, fixed in ((by_mug, "plate", "mug"), (by_plate, "mug", "plate")):
        for scene in design(prompt, n=2, seed=0):
            things = {thing.family: thing for thing in scene.objects}
            assert len(scene.objects) == 3
            assert sign * (things[moved].pos[1] - things[fixed].pos[1]) > 0, (prompt, relation)


def test_next_to_means_near() -> None:
    for scene in design("put the red block on the white plate beside a green mug", n=2, seed=0):
        plate, mug = scene.objects[1:3]
        apart = math.dist(mug.pos, plate.pos)
        assert 0 < apart < mug.radius + plate.radius + 0.06 + 1e-3


# Themes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "theme"),
    [
        ("a messy breakfast table", "breakfast"), ("toys in a nursery", "toys"),
        ("an office desk after work", "office"), ("groceries for a vegan", "vegetables"),
        ("a mechanic's bench", "workshop"), ("a chemistry experiment", "laboratory"),
        ("what a plumber needs", "workshop"), ("a wedding", "dinner"),
        ("gardening", "picnic"), ("surprise me", "surprise"), ("Spa day!", "bathroom"),
    ],
)  # fmt: skip
def test_the_nearest_theme_is_found(prompt: str, theme: str) -> None:
    assert nearest_theme(prompt) == theme


def test_every_theme_names_styles_and_objects_that_exist() -> None:
    from generation.background import TABLES
    from generation.rooms import STYLES

    known = set(NOUNS) | {tag for f in FAMILIES.values() for tag in f.tags} | {""}
    assert len(THEMES) >= 12
    for name, theme in THEMES.items():
        assert set(theme.tables) <= set(TABLES), name
        assert set(theme.rooms) <= set(STYLES), name
        assert set(theme.objects) & known, name
        assert set(theme.receptacles) & known, name


def test_themes_invent_different_tasks() -> None:
    scenes = design("a messy breakfast table", n=8, seed=0)
    assert len({scene.task.instruction for scene in scenes}) == 8
    assert len({scene.objects[0].family for scene in scenes}) >= 4
    assert len({scene.task.relation for scene in scenes}) >= 3
    assert {scene.graph.room for scene in scenes} == {"kitchen", "dining"}
    plain = design("a messy breakfast table", n=3, seed=0, split="train")
    assert {scene.task.relation for scene in plain} <= {"on", "in"}
    assert {FAMILIES[o.family].split for scene in plain for o in scene.objects} == {"train"}


def test_what_a_theme_names_takes_part() -> None:
    for scene in design("a red mug and a plate in a bar", n=3, seed=0):
        nodes = {node.family: node for node in scene.graph.nodes}
        assert nodes["mug"].colour == "red"
        assert "plate" in nodes
        assert scene.graph.room == "cafe"


@pytest.mark.parametrize(
    "prompt",
    [
        *THEMES, "a romantic dinner for two", "lunch for the kids", "tea party", "snack time",
        "supper with the family", "a birthday party", "brunch", "a barbecue for my friends",
        "spaghetti night",
    ],
)  # fmt: skip
def test_what_a_scene_is_for_is_no_thing(prompt: str) -> None:
    request = parse(prompt)
    assert request.theme
    assert not {extra.noun for extra in request.extras} - {"", *NOUNS}


def test_themes_may_be_misspelt() -> None:
    assert parse("a kichen tabel").theme == "a kitchen table"


def test_fewer_words_still_make_a_scene() -> None:
    for prompt, families in FEWER.items():
        graph = design(prompt, n=1, seed=0)[0].graph
        assert set(families.split()) <= {node.family for node in graph.nodes}, prompt
