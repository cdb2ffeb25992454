"""The viewer's data: what it draws is what the engine computed."""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from aopc.base.random import Stream
from aopc.models.preprocessing import Preprocessing
from aopc.paper.report.viewer import as_pixels, heatmap_picture, images_to_show, viewer_data
from aopc.perturbation.order import heatmap_orders, random_orders, ranks_of
from aopc.perturbation.partition import Grid
from aopc.perturbation.removal.fills import uniform
from tiny_panel import IDS, PREPROCESSING, PROTOCOL, SIDE, decoded, inputs, model, pixels


def test_the_viewer_holds_the_noise_the_order_and_the_scores_of_the_engine(
    shown: dict[str, Any],
) -> None:
    """Replacing regions as the viewer does gives images to which the network gives these scores."""
    panel = shown["panel"]
    for i, entry in enumerate(panel["images"]):
        original, noise = decoded(entry["image"]), decoded(entry["noise"])
        np.testing.assert_array_equal(original, pixels()[i])
        for explainer in entry["explainers"]:
            ranks = np.frombuffer(base64.b64decode(explainer["ranks"]), dtype="<u2")
            region = Grid(SIDE, SIDE, 3).region_of_pixel
            target = int(shown["curves"][explainer["name"]].targets[i])
            for step in (0, 1, 5, 9):
                replaced = np.where((ranks[region] < step)[..., None], noise, original)
                with torch.no_grad():
                    score = model()(inputs(replaced[None]))[0, target]
                # Noise is rounded to what a picture can hold.
                assert float(score) == pytest.approx(explainer["curve"][step], abs=0.02)


def test_orders_are_the_engines(shown: dict[str, Any]) -> None:
    grid = Grid(SIDE, SIDE, 3)
    for i, entry in enumerate(shown["panel"]["images"]):
        for explainer in entry["explainers"]:
            name = explainer["name"]
            orders = (
                random_orders(grid, [IDS[i]], 1, 4)[:, 0]
                if name == "random"
                else heatmap_orders(grid, shown["maps"][name][i : i + 1], "morf", [IDS[i]], 4)
            )
            ranks = np.frombuffer(base64.b64decode(explainer["ranks"]), dtype="<u2")
            np.testing.assert_array_equal(ranks, ranks_of(orders)[0])


def test_noise_of_the_viewer_is_the_first_repeats(shown: dict[str, Any]) -> None:
    x = PREPROCESSING.normalise(pixels())
    for i, entry in enumerate(shown["panel"]["images"]):
        noise = uniform(x[i], PREPROCESSING.value_range, Stream(4, "noise", IDS[i], 0))
        np.testing.assert_array_equal(decoded(entry["noise"]), as_pixels(noise, PREPROCESSING))


def test_pixels_come_back_from_the_networks_input() -> None:
    for channels, mean, std, white in (
        ("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0),
        ("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0),
        ("L", (0.3,), (0.2,), 1.0),
    ):
        preprocessing = Preprocessing(channels, mean, std, white)  # type: ignore[arg-type]
        image = pixels()[0, :, :, 0] if channels == "L" else pixels()[0]
        there = preprocessing.normalise(image)
        np.testing.assert_array_equal(as_pixels(there, preprocessing), image)


def test_heatmaps_keep_their_sign_in_colour() -> None:
    signed = decoded(heatmap_picture(np.array([[-1.0, 0.0, 1.0]])))[0].astype(int)
    assert signed[0, 2] > signed[0, 0]  # blue
    assert (signed[1] >= 250).all()  # white
    assert signed[2, 0] > signed[2, 2]  # red
    plain = decoded(heatmap_picture(np.array([[0.0, 0.5, 1.0]])))[0].astype(int)
    assert plain.sum(axis=1).tolist() == sorted(plain.sum(axis=1).tolist())
    decoded(heatmap_picture(np.zeros((3, 3))))


def test_an_explainer_without_a_curve_is_left_out_of_an_image(shown: dict[str, Any]) -> None:
    """A heatmap that is not finite has no order; NaN in the data would stop the whole viewer."""
    broken = shown["curves"]["lrp-epsilon-0.01"].logits.copy()
    broken[1] = np.nan
    curves = shown["curves"] | {"lrp-epsilon-0.01": replace(shown["curves"]["lrp-epsilon-0.01"], logits=broken)}
    panel = viewer_data("tiny", "Tiny", PROTOCOL, PREPROCESSING, pixels(), IDS, ["a", "b"], shown["maps"], curves)
    names = [[e["name"] for e in image["explainers"]] for image in panel["images"]]
    assert names == [["sensitivity-l2", "lrp-epsilon-0.01", "random"], ["sensitivity-l2", "random"]]
    json.dumps(panel, allow_nan=False)


def test_fewer_images_are_shown_where_they_are_large() -> None:
    assert images_to_show(4, 64, 64, 8, 100) == 6
    assert images_to_show(3, 227, 227, 8, 100) in (2, 3, 4)
    assert images_to_show(1, 227, 227, 8, 3) == 3
    assert images_to_show(9, 1000, 1000, 8, 100) == 1
