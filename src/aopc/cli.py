"""The command ``aopc``."""

import contextlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from aopc.errors import InputError
from aopc.machine import prepare

if TYPE_CHECKING:
    from aopc.evaluate import Evaluation
    from aopc.perturbation.arithmetic import Arithmetic

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False
)


@app.callback()
def _commands() -> None:
    """Evaluate heatmaps by region perturbation, after Samek et al. (arXiv:1509.06321)."""


def _job(
    images: Annotated[Path, typer.Option(help="Folder of images, flat or with subfolders.")],
    model: Annotated[str, typer.Option(help="Architecture, as torchvision.models calls it.")],
    weights: Annotated[
        Path,
        typer.Option(
            help="State dict, as torch.save wrote it; or a .caffemodel (caffenet, alexnet, googlenet)."
        ),
    ],
    classes: Annotated[
        Path | None,
        typer.Option(help="Class ids in the order of the model's outputs, one a line."),
    ] = None,
    preprocessing: Annotated[
        str | None, typer.Option(help="imagenet (torchvision's) or caffe; default: by the weights.")
    ] = None,
    explainers: Annotated[
        str, typer.Option(help="Names with commas between them, package.module:function, or all.")
    ] = "all",
    limit: Annotated[int | None, typer.Option(help="A seeded random sample of so many.")] = None,
    first: Annotated[int | None, typer.Option(help="The first so many by name.")] = None,
    region_size: Annotated[int, typer.Option(help="Side of a region in pixels.")] = 9,
    steps: Annotated[int, typer.Option(help="Regions to remove, one a step.")] = 100,
    repeats: Annotated[int, typer.Option(help="Repeats with fresh noise.")] = 10,
    random_orders: Annotated[
        int | None,
        typer.Option(help="Random orders an image for the baseline; default: repeats, at least 3."),
    ] = None,
    lerf: Annotated[bool, typer.Option(help="Least relevant first too, for ABPC.")] = False,
    removal: Annotated[str, typer.Option(help="uniform, dirichlet, mean or blur.")] = "uniform",
    seed: Annotated[int, typer.Option(help="Of the sample, the noise and the bootstrap.")] = 0,
    name: Annotated[
        str | None, typer.Option(help="Of the data set; default: the folder's.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default: the best.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images a forward pass; default: by size and device.")
    ] = None,
    arithmetic: Annotated[
        str, typer.Option(help="float32, tf32 (on GPUs that have it) or bfloat16.")
    ] = "float32",
) -> "Evaluation":
    """What to evaluate, from the options that ``evaluate`` and ``estimate`` share."""
    # Imported here so that --help and wrong options answer at once.
    from aopc.datasets.folder import image_folder, read_classes
    from aopc.datasets.subset import Subset
    from aopc.evaluate import Evaluation
    from aopc.explainers import EXPLAINERS, get_explainer
    from aopc.models.caffe_weights import caffe_preprocessing, load_caffe_network
    from aopc.models.inference import to_device
    from aopc.models.preprocessing import PREPROCESSINGS
    from aopc.models.torchvision_models import load_torchvision_model
    from aopc.perturbation.removal import REMOVALS
    from aopc.protocol import Protocol
    from aopc.registry import resolve
    from aopc.tables import file_hash

    if limit is not None and first is not None:
        raise InputError("give --limit (a random sample) or --first, not both")
    chosen = list(EXPLAINERS) if explainers == "all" else explainers.split(",")
    for explainer in chosen:
        get_explainer(explainer)
    resolve("removal", REMOVALS, removal)
    from_caffe = weights.suffix == ".caffemodel"
    if from_caffe and preprocessing not in (None, "caffe"):
        raise InputError("a .caffemodel takes --preprocessing caffe, or none")
    chosen_preprocessing = resolve(
        "preprocessing",
        PREPROCESSINGS,
        caffe_preprocessing(model) if from_caffe else preprocessing or "imagenet",
    )
    class_ids = read_classes(classes) if classes is not None else None
    folder = image_folder(images)
    if limit is not None:
        folder = folder.subset(Subset(limit, "sample", seed))
    if first is not None:
        folder = folder.subset(Subset(first, "first"))
    if from_caffe:
        network = load_caffe_network(model, weights)
    else:
        network = load_torchvision_model(model, weights, caffe=preprocessing == "caffe")
    return Evaluation(
        name=name or images.resolve().name,
        folder=folder,
        model=to_device(network, device),
        preprocessing=chosen_preprocessing,
        class_ids=class_ids,
        explainers=chosen,
        protocol=Protocol(
            region_size=region_size,
            steps=steps,
            repeats=repeats,
            random_orders=max(3, repeats) if random_orders is None else random_orders,
            removal=removal,
            seed=seed,
            orders=("morf", "lerf") if lerf else ("morf",),
            arithmetic=cast("Arithmetic", arithmetic),
        ),
        origin={"model": model, "weights": file_hash(weights)},
        batch_size=batch_size,
    )


def _with_job(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of :func:`_job`, whose result it gets, before its own."""
    shared, own = (inspect.signature(f).parameters for f in (_job, command))

    def run(**options: Any) -> None:
        command(_job(**{name: options.pop(name) for name in shared}), **options)

    parameters = [*shared.values(), *(p for name, p in own.items() if name != "job")]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


@app.command()
@_with_job
def evaluate(
    job: Any,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    precision: Annotated[
        float | None,
        typer.Option(help="Stop once AOPC relative to random is known to ± so much (score units)."),
    ] = None,
) -> None:
    """Run the paper's protocol on a folder of images and a network with weights from a file."""
    import torch

    from aopc.evaluate import evaluate as run
    from aopc.results_text import outcome_table

    try:
        outcome = run(replace(job, precision=precision), out)
    except torch.OutOfMemoryError as error:
        raise InputError(
            "out of memory on the GPU: give a smaller --batch-size; what is finished is kept"
        ) from error
    for warning in outcome.warnings:
        print(f"aopc: {warning}", file=sys.stderr)
    print(outcome_table(outcome))
    print(f"wrote {out}")


@app.command()
@_with_job
def estimate(job: Any) -> None:
    """Say how long an evaluation will take and how much memory, after some seconds of calibration."""
    from aopc.estimate import estimate as estimated

    print(estimated(job).text())


@app.command()
def plan(
    profile: Annotated[Path, typer.Argument(help="Its folder or dvc.yaml.")] = Path(),
    rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Forwards/s to reckon with; default: measure.")
    ] = None,
) -> None:
    """Say what a profile will download, need on disk and take in time, and do none of it."""
    from aopc.plan import plan as planned
    from aopc.plan import profile_folder
    from aopc.stages.stage import read_params

    folder = profile_folder(profile)
    if not folder.is_dir():
        raise InputError(f"there is no profile {profile}: give its folder, as in profiles/paper")
    with contextlib.chdir(folder):
        print(planned(read_params(), rate))


@app.command()
def track() -> None:
    """Log to MLflow what could not be logged when the pipeline ran."""
    from aopc.stages.stage import JOURNAL, PARAMS, read_params
    from aopc.tracking.store import log_pending

    print(log_pending(JOURNAL, read_params(), [PARAMS, Path("dvc.lock")]))


def main() -> None:
    """Run the command; the user's mistakes end in one line and status 2."""
    prepare()
    # For the user's own explainers: a console script does not look in the current folder.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except InputError as error:
        print(f"aopc: {error}", file=sys.stderr)
        sys.exit(2)
