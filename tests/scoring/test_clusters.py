import random

from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.intervals import clusters_of, shared_images
from medqbench_vlmeval.types import Sample


def test_samples_that_share_an_image_are_one_cluster():
    assert clusters_of([["a"], ["b"], ["a"], [], []]) == [0, 1, 0, 3, 4]


def test_a_chain_of_pairs_is_one_cluster():
    # 1 and 3 share nothing with 0, but 2 joins all three.
    assert clusters_of([["a", "b"], ["c", "d"], ["d", "a"], ["d", "e"], ["x", "y"]]) == [0, 0, 0, 0, 4]


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=2), max_size=12), st.integers())
def test_two_samples_are_together_exactly_where_a_chain_leads_from_one_to_the_other(images, seed):
    found = clusters_of(images)
    reached = [{place} for place in range(len(images))]
    for _ in images:
        for place, there in enumerate(reached):
            names = {name for one in there for name in images[one]}
            reached[place] = there | {other for other, named in enumerate(images) if names & set(named)}
    for one in range(len(images)):
        assert {other for other in range(len(images)) if found[other] == found[one]} == reached[one]
    order = random.Random(seed).sample(range(len(images)), len(images))
    moved = clusters_of([images[place] for place in order])
    for one in range(len(order)):
        for other in range(len(order)):
            assert (moved[one] == moved[other]) == (found[order[one]] == found[order[other]])


def sample(*refs):
    return Sample("1", Task.PERCEPTION, "?", image_refs=refs)


def test_what_was_known_of_the_images_is_said():
    named = shared_images([sample("a.png"), sample("a.png")])
    assert (list(named.clusters), named.words) == ([0, 0], "clusters are samples that share an image")
    assert "2 of 3 samples name no image" in shared_images([sample("a.png"), sample(), sample()]).words
    nothing = shared_images([sample(), sample()])
    assert (list(nothing.clusters), nothing.count([0, 1])) == ([0, 1], 2)
    assert nothing.words == "no image is named, so that samples were taken as independent"
