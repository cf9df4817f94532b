from collections.abc import Iterator
from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.wildcards import SHORT_WORDS, Shapes, has_too_many
from eventbus.delivery.topic_index import REMEMBERED, REMEMBERED_CHANGES, TopicIndex
from tests.support.topic_words import matches_any

WORDS = st.sampled_from(["a", "b", "*", ">"])
TOPICS = st.none() | st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join)
PATTERNS = st.lists(WORDS, min_size=1, max_size=4).filter(lambda words: ">" not in words[:-1]).map(".".join)
CHOICES = st.lists(PATTERNS, max_size=3, unique=True).map(tuple)
STEPS = st.lists(st.tuples(st.sampled_from("klmn"), st.none() | CHOICES), max_size=25)


@given(STEPS, st.lists(TOPICS, min_size=1, max_size=6))
def test_the_index_finds_whom_the_patterns_match(
    steps: list[tuple[str, tuple[str, ...] | None]], topics: list[str | None]
) -> None:
    """After any additions, changes and removals an event goes to exactly the entries whose patterns match, once."""
    index, entries = TopicIndex[str](), dict[str, tuple[str, ...]]()
    for key, patterns in steps:
        if patterns is None:
            index.remove(key)
            entries.pop(key, None)
        else:
            index.put(key, patterns, f"entry {key}")
            entries[key] = patterns
        for topic in topics:
            expected = sorted(f"entry {key}" for key, chosen in entries.items() if matches_any(chosen, topic))
            assert sorted(index.matching(topic)) == expected


@given(STEPS)
def test_an_index_that_was_emptied_holds_nothing(steps: list[tuple[str, tuple[str, ...] | None]]) -> None:
    """When all entries are removed no branch of the tree is left."""
    index = TopicIndex[str]()
    for key, patterns in steps:
        index.put(key, patterns or (), key)
    for key in "klmn":
        index.remove(key)
    held = [index._chosen, index._patterns, index._everything, index._answers, index._older]  # noqa: SLF001 - it shows nowhere else
    assert held == [{}, {}, {}, {}, {}]
    assert not index._shapes  # noqa: SLF001 - the same


def test_what_an_entry_is_changes_with_its_last_put() -> None:
    """An entry that is put again under the same key takes the place of the old one, topics and all."""
    index = TopicIndex[str]()
    index.put("k", ("a", "b"), "old")
    index.put("k", ("b",), "new")
    assert (index.matching("a"), index.matching("b")) == ((), ("new",))


def test_an_event_without_a_topic_goes_to_who_chose_everything() -> None:
    """An event without a topic finds only entries without patterns."""
    index = TopicIndex[str]()
    index.put("all", (), "all")
    index.put("some", ("a", "*"), "some")
    assert index.matching(None) == ("all",)


def test_endless_different_topics_take_no_endless_memory() -> None:
    """A publisher that never uses a topic twice does not make the index grow."""
    index = TopicIndex[str]()
    index.put("k", ("t.*",), "entry")
    for number in range(5 * REMEMBERED):
        assert index.matching(f"t.{number}") == ("entry",)
    assert len(index._answers) <= REMEMBERED  # noqa: SLF001 - it shows nowhere else


def test_registrations_make_nobody_look_up_again_whom_they_do_not_concern() -> None:
    """What was found for a topic stays right while others come and go, and is found anew once it is not."""
    index = TopicIndex[str]()
    for number in range(8):
        index.put(f"k{number}", (".".join(["*"] * number + ["a", ">"]),), f"entry {number}")
    topic = "a.a.b"
    found = index.specific(topic)
    index.put("one topic", ("b",), "entry")
    index.put("a wildcard", ("b.*.>",), "entry")
    index.put("everything", (), "entry")
    for key in ("one topic", "a wildcard", "everything"):
        index.remove(key)
        assert index.specific(topic) is found
    index.remove("k1")
    assert index.matching(topic) == ("entry 0",)


def test_as_many_topics_as_a_few_batches_have_are_remembered() -> None:
    """However many topics were looked up since, those of the last batches are still known."""
    index = TopicIndex[str]()
    index.put("k", ("t.*",), "entry")
    answers = []
    for number in range(2 * REMEMBERED):
        found = index.specific(f"t.{number}")
        index.put("come and go", (f"u.{number}",), "entry")
        answers.append(found)
    last = range(2 * REMEMBERED - 1_000, 2 * REMEMBERED)
    assert all(index.specific(f"t.{number}") is answers[number] for number in last)


def test_changes_that_concern_nobody_take_no_endless_memory() -> None:
    """However often patterns with wildcards come and go, what has changed is remembered for a bounded while."""
    index = TopicIndex[str]()
    index.put("stays", ("a.*",), "entry")
    for number in range(REMEMBERED_CHANGES):
        index.put("goes", (f"b.{number}.*",), "entry")
        index.remove("goes")
        assert index.matching("a.b") == ("entry",)
    assert len(index._changes) <= REMEMBERED_CHANGES  # noqa: SLF001 - it shows nowhere else


def test_different_answers_take_no_endless_memory() -> None:
    """However many entries each topic finds, those that are remembered for all topics have a limit."""
    index = TopicIndex[str](remembered_entries=1_000)
    for number in range(100):
        index.put(f"all {number}", (), f"all {number}")
        index.put(f"some {number}", (f"t.{number}", f"u.{number // 2}.>"), f"some {number}")
    for number in range(100):
        assert len(index.matching(f"t.{number}")) == 101
        assert len(index.matching(f"u.{number // 2}.{number}")) == 102
        held = [index._known.values(), index._joined.values()]  # noqa: SLF001 - it shows nowhere else
        assert all(sum(map(len, answers)) <= 1_000 for answers in held)


def worst_patterns() -> Iterator[str]:
    """Patterns of all shapes that are allowed."""
    for count in range(1, 17):
        stars = [numbers for size in range(3) for numbers in combinations(range(count), size)]
        many = product((False, True), repeat=count) if count <= SHORT_WORDS else ()
        chosen = [*({n for n, star in enumerate(each) if star} for each in many), *map(set, stars)]
        for numbers in chosen:
            words = ["*" if number in numbers else "a" for number in range(count)]
            yield from (".".join(each) for each in (words, [*words[:-1], ">"]) if not has_too_many(each))


def test_a_topic_is_looked_up_by_few_patterns() -> None:
    """With patterns of all shapes that are allowed, whatever their number, the longest topic has 1,000 candidates."""
    shapes, patterns = Shapes(), set(worst_patterns())
    for pattern in patterns:
        shapes.add(pattern)
    found = list(shapes.candidates(".".join("a" * 16)))
    assert 500 < len(found) <= 1_000
    assert len(set(found)) == len(found)
    assert len(list(shapes.candidates("a.b.c"))) <= 16
    for pattern in patterns:
        shapes.remove(pattern)
    assert not shapes
    assert list(shapes.candidates("a.b.c")) == []
