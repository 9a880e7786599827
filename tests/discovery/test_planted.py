"""Collections whose objects are known: what comparing images adds must show."""

from scripts.lod_planted import corloc_of_rankers, plant, planted_neighbours


def test_on_easy_collections_the_published_descriptors_find_nine_of_ten(tmp_path):
    planted = plant(images=32, regions=60, good=15, noise=0.1, seed=0)
    near = planted_neighbours(planted.labels, 7, wrong=0.0, seed=0)
    found = corloc_of_rankers(planted, "max01", near, tmp_path)
    assert found["lod"] >= 0.9 and found["degree"] >= 0.9
    assert max(found["random proposal"], found["centre box"], found["full image"]) < 0.4


def test_on_hard_ones_centred_descriptors_do_and_the_published_beat_chance(tmp_path):
    planted = plant(images=40, regions=60, good=5, noise=0.1, seed=0)
    near = planted_neighbours(planted.labels, 12, wrong=0.5, seed=0)
    norms = "max01", "center_l2"
    found = {norm: corloc_of_rankers(planted, norm, near, tmp_path) for norm in norms}
    chance = found["max01"]["random proposal"]
    assert chance < 0.2
    assert found["center_l2"]["lod"] >= 0.9
    assert found["max01"]["lod"] >= 2 * chance
