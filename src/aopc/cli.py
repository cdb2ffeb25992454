"""The command ``aopc``."""

import contextlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from typer import Argument, Context, Option, Typer

from aopc.base.command import BAD_INPUT, INTERRUPTED, run_command, say
from aopc.base.errors import InputError, warnings_in_a_line
from aopc.base.machine import prepare
from aopc.base.text import is_plain, shown

if TYPE_CHECKING:
    from aopc.experiment.evaluate import Evaluation

app = Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Evaluate heatmaps by region perturbation, after Samek et al. (arXiv:1509.06321)."""


def _renamed(new: str) -> Any:
    """An option's former name, which is refused."""

    def refuse(context: Context, parameter: Any, value: str | None) -> None:
        if value is not None:
            raise InputError(f"the option {parameter.opts[0]} is called {new} now")

    return Option(hidden=True, callback=refuse)


def _evaluation(
    images: Annotated[Path, Option(help="Folder of images, flat or with subfolders.")],
    model: Annotated[str, Option(help="Architecture, as torchvision.models calls it.")],
    weights: Annotated[
        Path, Option(help="State dict, as torch.save wrote it; or a .caffemodel (caffenet, alexnet, googlenet).")
    ],
    classes: Annotated[Path | None, Option(help="Class ids in the order of the model's outputs, one a line.")] = None,
    preprocessing: Annotated[
        str | None,
        Option(
            help="caffe, or as torchvision does for its own weights of a name (IMAGENET1K_V2); default: by the weights."
        ),
    ] = None,
    output: Annotated[
        str, Option(help="What the model gives: logits, or probabilities (a softmax at its end).")
    ] = "logits",
    explainers: Annotated[str, Option(help="Names with commas between them, package.module:function, or all.")] = "all",
    limit: Annotated[int | None, Option(help="A seeded random sample of so many.")] = None,
    first: Annotated[int | None, Option(help="The first so many by name.")] = None,
    protocol: Annotated[str, Option(help="samek2016 or tnnls2017 (LeRF and other removals too).")] = "samek2016",
    region_size: Annotated[int | None, Option(help="Side of a region in pixels; default: the protocol's, 9.")] = None,
    steps: Annotated[int | None, Option(help="Regions to remove, one a step; default: 100.")] = None,
    repeats: Annotated[int | None, Option(help="Repeats with fresh noise; default: 10.")] = None,
    random_orders: Annotated[
        int | None, Option(help="Random orders an image for the baseline; default: repeats, at least 3.")
    ] = None,
    lerf: Annotated[bool, Option(help="Least relevant first too, for ABPC.")] = False,
    removal: Annotated[str | None, Option(help="uniform, dirichlet, mean or blur; default: uniform.")] = None,
    conditions: Annotated[
        str, Option(help="What else to judge under: lerf, dropout, spatial, removals, by commas.")
    ] = "",
    seed: Annotated[int, Option(help="Of the sample, the noise and the bootstrap.")] = 0,
    name: Annotated[str | None, Option(help="Of the data set; default: the folder's.")] = None,
    device: Annotated[str | None, Option(help="cpu, cuda, …; default: the best.")] = None,
    batch_size: Annotated[int | None, Option(min=1, help="Images a forward pass; default: by size and device.")] = None,
    dtype: Annotated[str, Option(help="float32, tf32 (on GPUs that have it) or bfloat16.")] = "float32",
    arithmetic: Annotated[str | None, _renamed("--dtype")] = None,
) -> "Evaluation":
    """What to evaluate, from the options that ``evaluate`` and ``estimate`` share."""
    # Imported here so that --help and wrong options answer at once.
    from aopc.data.classes import class_lines
    from aopc.data.folder import image_folder
    from aopc.data.subset import Subset
    from aopc.experiment.evaluate import Evaluation
    from aopc.explainers.registry import EXPLAINERS, get_explainers
    from aopc.models.load import load_network
    from aopc.perturbation.order import RANDOM
    from aopc.perturbation.presets import preset_named
    from aopc.perturbation.protocol import condition_named
    from aopc.perturbation.removal import removal_named

    if limit is not None and first is not None:
        raise InputError("give --limit (a random sample) or --first, not both")
    chosen = list(EXPLAINERS) if explainers == "all" else [e.strip() for e in explainers.split(",")]
    get_explainers(chosen)
    if set(chosen) == {RANDOM}:
        raise InputError(f"--explainers must name one beside {RANDOM}, which all are compared with")
    preset = preset_named(protocol)
    given = {"region_size": region_size, "steps": steps, "repeats": repeats, "removal": removal}
    settings: dict[str, Any] = {"seed": seed, "dtype": dtype} | {k: v for k, v in given.items() if v is not None}
    settings |= {"orders": ("morf", "lerf")} if lerf else {}
    judged = replace(preset.protocol, **settings)
    removal_named(judged.removal)
    orders = max(3, judged.repeats) if random_orders is None else random_orders
    others = [condition_named(c.strip()) for c in dict.fromkeys(conditions.split(",")) if c.strip()]
    folder = image_folder(images)
    if limit is not None:
        folder = folder.subset(Subset(limit, "sample", seed))
    if first is not None:
        folder = folder.subset(Subset(first, "first"))
    names = tuple(class_lines(classes)) if classes is not None else None
    network, _ = load_network(model, weights, preprocessing, names)
    return Evaluation(
        name=name or images.resolve().name,
        folder=folder,
        network=replace(network, output=cast(Any, output)).on(device),
        explainers=chosen,
        protocol=replace(judged, random_orders=orders),
        conditions=others or preset.conditions,
        batch_size=batch_size,
    )


def _with_evaluation(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of :func:`_evaluation`, whose result it gets, before its own."""
    shared, own = (inspect.signature(f).parameters for f in (_evaluation, command))

    def run(**options: Any) -> None:
        command(_evaluation(**{name: options.pop(name) for name in shared}), **options)

    parameters = [*shared.values(), *(p for name, p in own.items() if name != "evaluation")]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


@app.command()
@_with_evaluation
def evaluate(
    evaluation: Any,
    out: Annotated[Path, Option(help="Folder for the results.")] = Path("results"),
    tolerance: Annotated[
        float | None, Option(help="Stop once AOPC relative to random is known to ± so much (score units).")
    ] = None,
    yes: Annotated[
        bool, Option("--yes", help="Start it also if it takes more than a day, or more memory or disk than there is.")
    ] = False,
    precision: Annotated[str | None, _renamed("--tolerance")] = None,
) -> None:
    """Run the paper's protocol on a folder of images and a network with weights from a file."""
    from aopc.experiment.bounds import require_affordable
    from aopc.experiment.evaluate import evaluate as run
    from aopc.experiment.terminal import outcome_table

    asked = replace(evaluation, tolerance=tolerance)
    if not yes:
        require_affordable(asked, out)
    outcome = run(asked, out)
    for warning in outcome.warnings:
        say(warning)
    print(f"{outcome_table(outcome)}\nwrote {out}")


@app.command()
@_with_evaluation
def estimate(evaluation: Any) -> None:
    """Say how long an evaluation will take and how much memory, after some seconds of calibration."""
    from aopc.experiment.estimate import estimate as estimated

    print(estimated(evaluation).text())


@app.command()
def plan(
    profile: Annotated[Path, Argument(help="Its folder or dvc.yaml.")] = Path(),
    rate: Annotated[float | None, Option(min=1e-9, help="Forwards/s to reckon with; default: measure.")] = None,
) -> None:
    """Say what a profile will download, need on disk and take in time, and do none of it."""
    from aopc.paper import forecast
    from aopc.paper.params import read_settings

    folder = forecast.profile_folder(profile)
    if not folder.is_dir():
        raise InputError(f"there is no profile {profile}: give its folder, as in profiles/paper")
    with contextlib.chdir(folder):
        print(forecast.plan(read_settings(), rate))


@app.command()
def track() -> None:
    """Log to MLflow what could not be logged when the pipeline ran."""
    from aopc.paper.params import PARAMS, read_params
    from aopc.paper.tracking.pending import PENDING
    from aopc.paper.tracking.store import log_pending

    print(log_pending(PENDING, read_params(), [PARAMS, Path("dvc.lock")]))


@app.command()
def ui() -> None:
    """Show the pipeline's MLflow runs in the browser."""
    from aopc.paper.tracking.ui import show_runs

    sys.exit(show_runs())


@app.command()
def adopt(profile: Annotated[Path, Argument(help="Its folder.")] = Path()) -> None:
    """Make a profile's params.yaml the parameters that it publishes; runs with others are marked as variants."""
    from aopc.paper.params import read_settings
    from aopc.paper.variant import adopt as adopted

    if not profile.is_dir():
        raise InputError(f"there is no profile {profile}: give its folder, as in profiles/paper")
    with contextlib.chdir(profile):
        print(adopted(read_settings().raw))


def main() -> None:
    """Run the command; its exit status is that of :func:`aopc.base.command.run_command`."""
    prepare()
    sys.exit(run_command(_run))


def _run() -> int:
    try:
        # For the user's own explainers: a console script does not look in the current folder.
        sys.path.append(str(Path.cwd()))
    except FileNotFoundError as error:
        raise InputError("the current folder was removed: change to another one") from error
    _check_arguments(sys.argv[1:])
    try:
        with warnings_in_a_line():
            status = app(standalone_mode=False) or 0
    # What typer calls these, and where it has them from, differs by version.
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # typer has shown the help
            return BAD_INPUT
        raise InputError(" ".join(error.format_message().split())) from error
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return int(status)


def _check_arguments(arguments: list[str]) -> None:
    """An empty value, as of a variable that is not set, stands for nothing that a user can mean."""
    for option, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.partition("=")
        if not argument.strip() or (name.startswith("--") and equals and not value.strip()):
            raise InputError(
                f"{name.strip() or option.strip() or 'an argument'} is empty: give it a value, or leave it out"
            )
        if not is_plain(argument):
            raise InputError(f"{shown(argument)} has control characters, or is not UTF-8: give another name")
