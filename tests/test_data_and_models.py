"""Data sets, preprocessing, networks and their files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import aopc
from aopc.data.dataset import Dataset
from aopc.data.sources.digits import digits
from aopc.data.sources.drawn import CLASSES, STYLES, drawn
from aopc.data.folder import image_folder, read_classes
from aopc.data.subset import Subset
from aopc.models.inference import predict
from aopc.models.network_file import build, load_network, save_network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.zoo.small_caffenet import small_caffenet
from aopc.models.zoo.torchvision_models import load_torchvision_model
from aopc.models.training import TrainingSettings, _folded, _with_batch_norm, train
from aopc.base.random import Stream


def test_streams_depend_on_their_key_alone() -> None:
    a = Stream(0, "noise", "cat", 1).uniform((3, 5))
    np.testing.assert_array_equal(a, Stream(0, "noise", "cat", 1).uniform((3, 5)))
    for other in (
        Stream(1, "noise", "cat", 1),
        Stream(0, "noise", "cat", 2),
        Stream(0, "noise", "ca", 11),
    ):
        assert (a != other.uniform((3, 5))).any()
    values = Stream(0, "many").uniform((100_000,))
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / 1e5))
    assert sorted(Stream(0, "p").permutation(50)) == list(range(50))


@pytest.mark.parametrize("style", list(STYLES))
def test_drawn_images_are_reproducible_and_masked(style: str) -> None:
    data = drawn(style=style, split="test", images=20, seed=0)
    again = drawn(style=style, split="test", images=12, seed=0)
    np.testing.assert_array_equal(data.images[:12], again.images)
    assert data.images.shape == (20, 64, 64, 3)
    assert data.labels.tolist() == list(range(10)) * 2
    share = data.masks.mean(axis=(1, 2))
    assert ((share > 0.01) & (share < 0.7)).all()
    other = drawn(style=style, split="train", images=12, seed=0)
    assert (other.images != again.images).any(axis=(1, 2, 3)).all()


def test_drawn_colour_says_nothing_about_the_class() -> None:
    """Mean colour by class differs no more than by chance: F test by permutation, p > 0.001."""
    data = drawn(style="objects", split="train", images=600, seed=1)
    colours = data.images.mean(axis=(1, 2))

    def between(labels: np.ndarray) -> float:
        return sum(colours[labels == c].mean(axis=0).var() for c in range(10)) + float(
            np.var([colours[labels == c].mean(axis=0) for c in range(10)], axis=0).sum()
        )

    rng = np.random.default_rng(0)
    chance = [between(rng.permutation(data.labels)) for _ in range(300)]
    assert between(data.labels) <= max(chance)


def test_digits_are_divided_without_overlap() -> None:
    train_part, test_part = digits(split="train", seed=0), digits(split="test", seed=0)
    assert len(train_part) + len(test_part) == 1797
    assert not set(train_part.ids) & set(test_part.ids)
    assert test_part.images.shape[1:] == (32, 32)
    assert np.bincount(test_part.labels).min() > 40


def test_data_sets_survive_the_disk(tmp_path: Path) -> None:
    data = drawn(style="scenes", split="test", images=3, seed=0)
    data.save(tmp_path / "d", {"seed": 0})
    loaded = Dataset.load(tmp_path / "d")
    np.testing.assert_array_equal(loaded.images, data.images)
    np.testing.assert_array_equal(loaded.masks, data.masks)
    assert loaded.ids == data.ids
    assert loaded.classes == CLASSES


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (60, 40), seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(
        path
    )
    return path


def test_folders_are_listed_sampled_and_labelled(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.PNG", "dog/1.jpeg"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    folder = image_folder(tmp_path)
    assert folder.ids == ("cat/1.png", "cat/2.PNG", "dog/1.jpeg")
    assert folder.labels(["dog", "cat"]) == [1, 1, 0]
    assert folder.labels(["dog"]) is None
    assert folder.subset(Subset(2, "first")).ids == folder.ids[:2]
    assert folder.subset(Subset(2, "sample", 0)) == folder.subset(Subset(2, "sample", 0))
    assert len({folder.subset(Subset(1, "sample", seed)).ids for seed in range(20)}) == 3


def test_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    whole = picture(tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    folder = image_folder(tmp_path)
    assert folder.load("whole.png").size == (60, 40)
    for name in ("half.png", "text.jpg", "missing.png"):
        with pytest.raises(aopc.InputError, match=name.replace(".", r"\.")) as caught:
            folder.load(name)
        assert "\n" not in str(caught.value)
    with pytest.raises(aopc.InputError, match="no folder"):
        image_folder(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(aopc.InputError, match="no images"):
        image_folder(tmp_path / "empty")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_any_mode_become_colour(tmp_path: Path, mode: str) -> None:
    path = picture(tmp_path / ("x.jpg" if mode == "CMYK" else "x.png"), mode)
    tensor = PREPROCESSINGS["caffe"](image_folder(tmp_path).load(path.name))
    assert tensor.shape == (3, 227, 227)


def test_caffe_preprocessing_equals_its_definition(tmp_path: Path) -> None:
    """Warp to 256 × 256, centre 227 × 227, BGR, mean (104, 117, 123), no scaling.

    Swapped channels or a missing mean still give plausible accuracy, so each step is checked.
    """
    image = Image.open(picture(tmp_path / "x.png", size=(300, 200)))
    rgb = np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR)).astype(float)
    crop = rgb[14 : 14 + 227, 14 : 14 + 227]
    expected = np.stack([crop[..., 2] - 104, crop[..., 1] - 117, crop[..., 0] - 123])
    np.testing.assert_allclose(PREPROCESSINGS["caffe"](image).numpy(), expected, atol=1e-4)


def test_caffe_preprocessing_of_pure_colours() -> None:
    """Pure blue comes first and highest; black and white are the ends of the value range."""
    prepare = PREPROCESSINGS["caffe"]
    blue = prepare(Image.new("RGB", (300, 300), (0, 0, 255)))[:, 0, 0]
    np.testing.assert_allclose(blue, [255 - 104, -117, -123])
    for colour, end in ((0, prepare.value_range.low), (255, prepare.value_range.high)):
        value = prepare(Image.new("RGB", (300, 300), (colour,) * 3))[:, 5, 5]
        np.testing.assert_allclose(value, end, rtol=1e-6)


@pytest.mark.parametrize("size", [(400, 300), (640, 427), (450, 338), (333, 500), (1024, 683)])
def test_imagenet_preprocessing_equals_torchvisions(size: tuple[int, int]) -> None:
    from torchvision.models import SqueezeNet1_0_Weights

    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    theirs = SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()(image)
    np.testing.assert_allclose(PREPROCESSINGS["imagenet"](image), theirs, atol=1e-5)


def test_sixteen_bit_grey_keeps_its_greys(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    loaded = np.asarray(image_folder(tmp_path).load("deep.png"))
    np.testing.assert_array_equal(loaded[0], np.arange(256))
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(aopc.InputError, match="no known white"):
        image_folder(tmp_path).load("float.tiff")


def test_weights_files_are_checked(tmp_path: Path) -> None:
    from torchvision.models import squeezenet1_1

    good = tmp_path / "good.pt"
    torch.manual_seed(0)
    net = squeezenet1_1(num_classes=4).eval()
    torch.save(net.state_dict(), good)
    loaded = load_torchvision_model("squeezenet1_1", good)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(loaded(x), net(x))
    (tmp_path / "short.pt").write_bytes(good.read_bytes()[:5000])
    (tmp_path / "text.pt").write_text("hello")
    torch.save(net, tmp_path / "module.pt")
    torch.save({"epoch": 3, "state": net.state_dict()}, tmp_path / "checkpoint.pt")
    for name in ("short.pt", "text.pt", "module.pt", "checkpoint.pt", "none.pt"):
        with pytest.raises(aopc.InputError, match=name.replace(".", r"\.")) as caught:
            load_torchvision_model("squeezenet1_1", tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(aopc.InputError, match="do not fit the architecture alexnet"):
        load_torchvision_model("alexnet", good)
    with pytest.raises(aopc.InputError, match="did you mean 'squeezenet1_1'"):
        load_torchvision_model("squeeznet1_1", good)


def test_caffe_layout_pads_squeezenets_last_convolution(tmp_path: Path) -> None:
    from torchvision.models import squeezenet1_0

    path = tmp_path / "w.pt"
    torch.save(squeezenet1_0(num_classes=3).state_dict(), path)
    assert load_torchvision_model("squeezenet1_0", path, caffe=True).classifier[1].padding == (1, 1)
    assert load_torchvision_model("squeezenet1_0", path).classifier[1].padding == (0, 0)


def test_class_lists_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("n1 cat\nn2 dog\n")
    assert read_classes(path) == ["n1", "n2"]
    for text, message in (
        ("", "one class a line"),
        ("a\n\nb\n", "no empty line"),
        ("a x\na y\n", "twice"),
    ):
        path.write_text(text)
        with pytest.raises(aopc.InputError, match=message):
            read_classes(path)
    with pytest.raises(aopc.InputError, match="no class list"):
        read_classes(tmp_path / "none.txt")


def test_folding_batch_norm_keeps_the_function() -> None:
    torch.manual_seed(0)
    learner = _with_batch_norm(small_caffenet(classes=5, width=8))
    for layer in learner:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
    learner.eval()
    x = torch.randn(2, 3, 64, 64)
    names = [name for name, _ in small_caffenet(classes=5, width=8).named_children()]
    plain = _folded(learner, names)
    torch.testing.assert_close(plain(x), learner(x), atol=1e-3, rtol=1e-4)
    assert [type(a) for a in plain] == [type(a) for a in small_caffenet(classes=5, width=8)]


def test_training_learns_and_is_reproducible(tmp_path: Path) -> None:
    data = digits(split="train", seed=0)
    prepare = Preprocessing("L", (0.5,), (0.3,), 1.0)
    x, labels = prepare.normalise(data.images[:300]), torch.from_numpy(data.labels[:300])
    how = TrainingSettings(3, 32, 0.005, 0.01, False, 0)
    first, losses = train(build("digit-lenet", 10, {}), x, labels, how)
    second, _ = train(build("digit-lenet", 10, {}), x, labels, how)
    assert losses[-1] < 0.5 * losses[0]
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    path = tmp_path / "net.pt"
    save_network(path, first, "digit-lenet", 10, {}, prepare, {})
    loaded, preprocessing = load_network(path)
    assert preprocessing == prepare
    np.testing.assert_allclose(predict(loaded, x[:5]), predict(first, x[:5]), atol=1e-6)


@pytest.mark.parametrize("name", ["digit-lenet", "digit-strided"])
def test_only_one_digit_network_pools(name: str) -> None:
    pools = any(isinstance(layer, nn.MaxPool2d) for layer in build(name, 10, {}))
    assert pools == (name == "digit-lenet")


def test_prediction_names_the_image_with_nan() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    nn.init.constant_(model[1].weight, torch.nan)
    with pytest.raises(aopc.InputError, match=r"image b\.png"):
        predict(model, torch.ones(1, 3, 2, 2), image_ids=["b.png"])


def test_real_squeezenet_recognises_real_images(real_data: Path) -> None:
    """Top-1 about 0.65 over all classes' images (shared data's README); BGR matters."""
    weights = real_data / "squeezenet" / "squeezenet1_0_ilsvrc2012.pt"
    model = load_torchvision_model("squeezenet1_0", weights, caffe=True)
    folder = image_folder(real_data / "imagenet-sample" / "images").subset(Subset(100, "sample"))
    labels = np.array(folder.labels(read_classes(real_data / "imagenet-sample" / "classes.txt")))
    images = [folder.load(name) for name in folder.ids]

    def accuracy(prepare: Preprocessing) -> float:
        x = torch.stack([prepare(image) for image in images])
        return float((predict(model, x).argmax(1) == labels).mean())

    assert accuracy(PREPROCESSINGS["caffe"]) >= 0.55
    rgb = Preprocessing("RGB", (123.0, 117.0, 104.0), (1.0,) * 3, 255.0, (256, 256), 227)
    assert accuracy(rgb) < accuracy(PREPROCESSINGS["caffe"])
