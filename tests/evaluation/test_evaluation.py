import json
import math

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError
from kgpm.evaluation.evaluation import evaluate
from kgpm.evaluation.report import format_table
from kgpm.evaluation.report import write_metrics

# 11 images in 4 episodes of 3, two a batch: the last has one padded place.
NUM_IMAGES, LENGTH, BATCH = 11, 3, 2
NUMBERS = np.arange(1, NUM_IMAGES + 1, dtype="float64")


# What is written to the memory of each image's episode.
TOTALS = np.repeat([sum(e) for e in np.split(NUMBERS, [3, 6, 9])], 3)[:11]


def noise(seed, draw=0, stores=True):
    """The noise that `FakeModel.score` adds, image by image."""
    parts = []
    for batch in range(2):
        batch_seed = ops.fold_in(ops.make_seed(seed), batch)
        draw_seed = ops.fold_in(batch_seed, draw)
        if stores:
            # The first seed is that of the write.
            draw_seed = ops.split_seed(draw_seed, 2)[1]
        parts.append(np.asarray(ops.uniform((BATCH, LENGTH), draw_seed)))
    return np.concatenate(parts).ravel()[:NUM_IMAGES].astype("float64")


def check(entry, values, episode_length=LENGTH, rel=1e-6):
    """The mean, and the error from the sums of each episode's deviations."""
    deviations = np.asarray(values) - np.mean(values)
    sums = [
        deviations[start : start + episode_length].sum()
        for start in range(0, len(values), episode_length)
    ]
    # Their mean is 0: of E sums the sum has E times the variance of one.
    variance = len(sums) * np.var(sums, ddof=1)
    error = math.sqrt(variance) / len(values)
    assert entry["mean"] == pytest.approx(np.mean(values), rel=rel)
    assert entry["standard_error"] == pytest.approx(error, rel=rel, abs=1e-9)


@pytest.mark.slow
def test_conditional_figure_is_over_images_without_padding(
    fake_model, numbered_episodes
):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    result = evaluate(fake_model(), dataset, seed=5)
    figure = result["figures"]["A"]
    nll, kl_w = TOTALS, 0.5 * NUMBERS**2 + noise(5)
    check(figure["nll"], nll)
    check(figure["kl_w"], kl_w)
    check(figure["nelbo"], nll + kl_w)
    dims = 4 * math.log(2.0)
    check(figure["bits_per_dim"], (nll + kl_w) / dims + 8)
    check(figure["bits_per_dim_nll"], nll / dims + 8)
    check(figure["bits_per_dim_kl"], kl_w / dims)
    assert "nelbo_full" not in figure
    assert result["num_images"] == NUM_IMAGES
    assert result["num_episodes"] == 4
    assert result["episode_length"] == LENGTH
    assert result["memory_floats_per_image"] == 4
    assert result["parameters"] == 1234


def test_result_does_not_depend_on_an_uneven_last_batch(
    fake_model, numbered_episodes
):
    uneven = evaluate(fake_model(), numbered_episodes(11, 3, 3))
    whole = evaluate(fake_model(), numbered_episodes(11, 3, 4))
    # The noise of figure A is that of its batch, its memory is not.
    for figure in ("A", "B", "C_prior"):
        one, other = (r["figures"][figure] for r in (uneven, whole))
        assert one["nll"] == other["nll"]


def test_held_out_figure(fake_model, numbered_episodes):
    result = evaluate(fake_model(), numbered_episodes(NUM_IMAGES, 3, 2))
    others = [
        sum(episode) - number
        for episode in np.split(NUMBERS, [3, 6, 9])
        for number in episode
    ]
    check(result["figures"]["B"]["nll"], others)


def test_unwritten_memory_is_the_prior_one(fake_model, numbered_episodes):
    result = evaluate(fake_model(), numbered_episodes(NUM_IMAGES, 3, 2))
    check(result["figures"]["C_prior"]["nll"], np.full(NUM_IMAGES, -70.0))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_other_memory_is_of_exactly_one_other_episode(
    fake_model, numbered_episodes, batch_size
):
    seen = []

    class Recorder(fake_model):
        def score(self, images, codes, memory, seed):
            terms = super().score(images, codes, memory, seed)
            own, first = images[:, 0, 0, 0, 0], memory["nested"][0]
            tf.py_function(
                lambda o, f: seen.extend(
                    zip(o.numpy(), f.numpy(), strict=True)
                ),
                (own, first),
                (),
            )
            return terms

    dataset = numbered_episodes(NUM_IMAGES, LENGTH, batch_size)
    result = evaluate(Recorder(), dataset)
    # Episodes begin with images 1, 4, 7 and 10. What fills up a batch is seen
    # as well, with the memory of the same episode.
    starts = {1.0, 4.0, 7.0, 10.0}
    pairs = {}
    for own, other in seen:
        if own in starts and other in starts - {own}:
            assert pairs.setdefault(own, other) == other
    assert set(pairs) == starts
    assert all(own != other for own, other in pairs.items())
    assert pairs[4.0] == 1.0 and pairs[7.0] == 4.0 and pairs[10.0] == 7.0
    last_of_first_batch = 1.0 + LENGTH * max(batch_size - 1, 1)
    assert pairs[1.0] == last_of_first_batch
    total = {number: TOTALS[int(number) - 1] for number in starts}
    expected = [
        total[pairs[1.0 + LENGTH * (i // LENGTH)]] for i in range(NUM_IMAGES)
    ]
    check(result["figures"]["C_other"]["nll"], expected)


def test_another_order_is_scored_where_it_matters(
    fake_model, numbered_episodes
):
    class InOrder(fake_model):
        """An image costs its place in the episode."""

        depends_on_order = True

        def score(self, images, codes, memory, seed):
            number = images[..., 0, 0, 0]
            place = tf.range(number.shape[1], dtype=number.dtype)
            return {"nll": number + 100.0 * place + 0.0 * number}

    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    result = evaluate(InOrder(), dataset)
    # The same images, with padding left out wherever it went.
    order = list(np.random.default_rng(0).permutation(LENGTH))
    assert order != sorted(order)
    places = [order.index(i % LENGTH) for i in range(NUM_IMAGES)]
    expected = NUMBERS + 100.0 * np.array(places)
    check(result["figures"]["A_order"]["nll"], expected)
    table = format_table(result)
    assert "A   in another order" in table
    assert "shuffled within each episode" in table
    assert "never sees" not in table
    result["prior_is_trained"] = False
    assert "never sees" in format_table(result)
    assert evaluate(fake_model(), dataset)["figures"]["A_order"] is None


@pytest.mark.slow
def test_a_model_without_memory_has_one_figure(fake_model, numbered_episodes):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    model = fake_model(stores=False)
    result = evaluate(model, dataset, seed=5, num_importance_samples=10)
    assert [key for key, figure in result["figures"].items() if figure] == ["A"]
    figure = result["figures"]["A"]
    # Images that no memory ties together are independent.
    kl_w = 0.5 * NUMBERS**2 + noise(5, stores=False)
    check(figure["kl_w"], kl_w, episode_length=1)
    check(figure["nelbo_iw"], NUMBERS, episode_length=1, rel=1e-5)
    assert figure["title"] == "unconditional"
    table = format_table(result)
    assert "A   bound" in table and "Nothing is written" in table
    assert "another episode" not in table


def test_single_episode_has_no_other_memory(fake_model, numbered_episodes):
    result = evaluate(fake_model(), numbered_episodes(3, 3, 2))
    assert result["figures"]["C_other"] is None
    assert "single episode" in format_table(result)


def test_episodes_of_padding_only_are_left_out(fake_model, numbered_episodes):
    padding = {
        "images": tf.fill((1, LENGTH, 2, 2, 1), 1e6),
        "weights": tf.zeros((1, LENGTH)),
    }
    dataset = numbered_episodes(9, LENGTH, 3).unbatch()
    padded = dataset.concatenate(
        tf.data.Dataset.from_tensors(padding).unbatch()
    )
    expected = evaluate(fake_model(), dataset.batch(4))["figures"]
    assert evaluate(fake_model(), padded.batch(4))["figures"] == expected


def test_draws_are_averaged_per_image(fake_model, numbered_episodes):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    result = evaluate(fake_model(), dataset, seed=5, num_draws=2)
    mean = 0.5 * NUMBERS**2 + (noise(5, 0) + noise(5, 1)) / 2
    for figure in ("A", "C_prior", "C_other"):
        check(result["figures"][figure]["kl_w"], mean)


def test_memory_with_a_density_gives_the_full_bound(
    fake_model, numbered_episodes
):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    figures = evaluate(fake_model(kl_memory=True), dataset)["figures"]
    conditional = figures["A"]["nelbo"]["mean"]
    assert figures["A"]["nelbo_full"]["mean"] == pytest.approx(conditional + 3)
    assert "kl_memory" not in figures["B"]
    assert "nelbo_full" not in figures["C_prior"]
    plain = evaluate(fake_model(), dataset)["figures"]["A"]["nelbo"]["mean"]
    assert conditional == plain


def test_importance_weighted_figure_uses_the_written_memory(
    fake_model, numbered_episodes
):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    model = fake_model()
    result = evaluate(model, dataset, num_importance_samples=7, num_draws=2)
    figures = result["figures"]
    # Of seven draws, or of three at each of two addresses; all alike.
    check(figures["A"]["nelbo_iw"], NUMBERS + TOTALS, rel=1e-5)
    check(figures["A"]["nelbo_stratified"], 2 * (NUMBERS + TOTALS), rel=1e-5)
    # The others of the episode, and the image.
    check(figures["B"]["nelbo_iw"], TOTALS, rel=1e-5)
    check(figures["B"]["nelbo_stratified"], 2 * TOTALS, rel=1e-5)
    assert int(model.num_draws) >= 2 * 7 * (1 + LENGTH)
    assert "nelbo_iw" not in figures["C_other"]
    table = format_table(result)
    assert "nelbo IW-7" in table and "nelbo stratified" in table


def test_all_batches_and_figures_share_a_trace(fake_model, numbered_episodes):
    """Also the last one, of a single episode."""
    model = fake_model()
    evaluate(model, numbered_episodes(9 * LENGTH, LENGTH, 2), num_draws=2)
    assert model.num_encode_traces == 1
    # Once for figures A and C, once for an image that is left out.
    assert model.memory.num_traces == 2 and model.num_score_traces == 2


def test_table_has_every_figure_and_says_what_a_means(
    fake_model, numbered_episodes
):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    result = evaluate(
        fake_model(kl_memory=True), dataset, description="eleven numbers"
    )
    table = format_table(result)
    lines = table.splitlines()
    for key, label in {
        "A": "A   conditional",
        "B": "B   held-out",
        "C_prior": "C   memory not written",
        "C_other": "C   another",
    }.items():
        line = next(line for line in lines if line.startswith(label))
        for name, entry in result["figures"][key].items():
            if name in ("title", "bits_per_dim_nll", "bits_per_dim_kl"):
                continue
            digits = 4 if name.startswith("bits") else 2
            assert f"{entry['mean']:.{digits}f} ±" in line
    heading = next(line for line in lines if "nelbo" in line)
    assert heading.split()[:3] == ["nelbo", "nelbo+kl_memory", "nll"]
    widths = {len(line) for line in lines[lines.index(heading) :][:5]}
    assert len(widths) == 1
    assert "eleven numbers" in table
    assert "11 images in 4 episodes of 3" in table
    assert "a low A alone proves nothing" in " ".join(table.split())


def test_what_is_no_bound_is_called_so(fake_model, numbered_episodes):
    model = fake_model()
    episodes = numbered_episodes(NUM_IMAGES, 3, 2)
    assert "NOT A BOUND" not in format_table(evaluate(model, episodes))
    model.memory.why_no_bound = "two and two are five"
    result = evaluate(model, episodes)
    assert "NOT A BOUND: two and two are five." in format_table(result)


def test_table_of_rgb_images_splits_bits_per_dim(fake_model, numbered_episodes):
    result = evaluate(fake_model(), numbered_episodes(NUM_IMAGES, 3, 2))
    assert "nll bits/dim" not in format_table(result)
    result["image_shape"] = [2, 2, 3]
    table = format_table(result)
    for name in ("nll", "kl"):
        entry = result["figures"]["A"][f"bits_per_dim_{name}"]
        assert f"{name} bits/dim" in table
        assert f"{entry['mean']:.4f} ±" in table


def test_numbers_that_are_not_finite_are_said_and_written(
    fake_model, numbered_episodes, tmp_path
):
    class Diverged(fake_model):
        def score(self, images, codes, memory, seed):
            terms = super().score(images, codes, memory, seed)
            return {"nll": terms["nll"] * math.nan, "kl_w": terms["kl_w"]}

    result = evaluate(Diverged(), numbered_episodes(NUM_IMAGES, 3, 2))
    assert result["figures"]["B"]["nelbo"]["mean"] is None
    assert "not finite" in format_table(result)
    write_metrics(result, tmp_path / "metrics.json")
    assert "NaN" not in (tmp_path / "metrics.json").read_text()


def test_metrics_file_holds_the_result(fake_model, numbered_episodes, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("old")
    result = evaluate(fake_model(), numbered_episodes(NUM_IMAGES, 3, 2))
    write_metrics(result, path)
    assert json.loads(path.read_text()) == result
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_bad_arguments(fake_model, numbered_episodes):
    dataset = numbered_episodes(NUM_IMAGES, LENGTH, BATCH)
    with pytest.raises(UserError, match="num_draws"):
        evaluate(fake_model(), dataset, num_draws=0)
    with pytest.raises(UserError, match="num_importance_samples"):
        evaluate(fake_model(), dataset, num_importance_samples=-1)
    with pytest.raises(UserError, match="without end"):
        evaluate(fake_model(), dataset.repeat())
    with pytest.raises(UserError, match="at least one image"):
        evaluate(fake_model(), dataset.take(0))
