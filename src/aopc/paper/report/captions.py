"""What each figure shows: in the paper, and what to look for here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Of one figure or table.

    Attributes
    ----------
    stem
        Of its files; figures drawn once a data set have its name added after a hyphen.
    title
        With the paper's number, where it has one.
    paper
        What the paper shows there; empty for what is not in the paper.
    see
        What to look for, and how to read it.
    data
        Its data, from reports/.
    claims
        The claims that it belongs to.
    """

    stem: str
    title: str
    paper: str
    see: str
    data: str
    claims: tuple[str, ...] = ()


CAPTIONS: tuple[Caption, ...] = (
    Caption(
        "figure1",
        "Figure 1. Three heatmaps of one digit",
        "A 3 from MNIST with a random heatmap, a segmentation of the digit, and the relevance for the"
        " network's decision.",
        "A segmentation shows where the digit is; relevance shows which parts of it, and of the empty"
        " ground, speak for a 3 (red) or against it (blue).",
        "../data/digits/figure1-heatmaps.npy",
    ),
    Caption(
        "figure2",
        "Figure 2. The three methods side by side",
        "A table of the three methods: rule, heatmap, relation to f(x), applicability, and an example.",
        "The row “relation to f(x)” holds measurements: how much of the score LRP's heatmap adds up to, as"
        " mean and 95 % interval over all images. Biases and the ε of the ε rule take relevance away.",
        "figure2.csv",
        ("C10",),
    ),
    Caption(
        "figure3",
        "Figure 3. Without pooling, deconvolution is the same picture for every image",
        "On a network without pooling, for images of 3 and 9, some of them turned: LRP adapts to each image"
        " and shows evidence against the class in blue; deconvolution gives one picture a class.",
        "The lowest row hardly changes within a class. The box plots measure it on more images: the"
        " correlation of each heatmap with the others of its class; 1 is the same picture. With pooling"
        " the recorded maxima make deconvolution depend on the image.",
        "figure3.csv",
        ("C11",),
    ),
    Caption(
        "figure4",
        "Figure 4. AOPC relative to random order",
        "One panel a data set, from 0 to 100 steps: the LRP variants on top, deconvolution next,"
        " sensitivity lowest and partly below random order.",
        "Higher is better: how much further the class score has fallen on average than in random order,"
        " after so many regions were replaced by noise. Bands are pointwise 95 % bootstrap intervals over"
        " the n images; the noise is the same for all methods.",
        "figure4.csv",
        ("C1", "C2", "C3", "C4", "C5"),
    ),
    Caption(
        "table1",
        "Table I. Size and entropy of the heatmaps",
        "Mean file size of the heatmap images as PNG and JPEG: sensitivity largest, LRP smallest.",
        "Means with half the width of their 95 % intervals. File sizes depend on the image's size, so"
        " compare ratios between methods with the paper, as the table below this one does.",
        "metrics.json",
        ("C7", "C8"),
    ),
    Caption(
        "figure5",
        "Figure 5. File size and entropy, image by image",
        "Scatter plots of PNG sizes, sensitivity and deconvolution against LRP: nearly all points lie below"
        " the diagonal. Box plots of entropy: LRP lowest.",
        "Points below the diagonal are images whose LRP heatmap is the smaller file. Heatmaps that are"
        " zero everywhere are left out.",
        "figure5.csv",
        ("C7", "C8"),
    ),
    Caption(
        "figure6",
        "Figure 6. The first images with their heatmaps",
        "The first eight images of each data set with sensitivity, deconvolution and LRP heatmaps.",
        "Red speaks for the class named above the image and blue against it; heatmaps without a sign run"
        " from black to bright. Each is scaled by itself, up to its 99.5 % quantile.",
        "../data/heatmaps",
    ),
    Caption(
        "figure7",
        "Figure 7. AOPC and accuracy during training",
        "CIFAR-10: one image's heatmaps at several points of the training; AOPC and accuracy rise and fall"
        " together.",
        "AOPC in random order is drawn too: scores grow during training, and AOPC with them. Bands are 95 %"
        " intervals over images; there is one training run.",
        "figure7.csv",
        ("C9",),
    ),
    Caption(
        "choices",
        "Who is best under which choice",
        "",
        "Rank of each explainer (1 is best) on the same images, when one choice is made differently: f as a"
        " probability, the order (ABPC), what replaces a region, dropout, the spatial control, and, where"
        " the object is known, how much relevance lies on it. A gap means that it was not measured.",
        "choices.csv",
        ("C6",),
    ),
    Caption(
        "agreement",
        "How far the rankings agree",
        "",
        "Spearman's rank correlation between the mean AOPC of the explainers as the paper takes it and"
        " their means under each other choice. Intervals resample the images; few explainers give"
        " coarse values.",
        "agreement.csv",
    ),
    Caption(
        "spatial",
        "What clustering is worth: the spatial control",
        "",
        "A compact patch of noise changes a score less than the same area scattered over the image. Open"
        " diamonds are the same heatmap at random places (turned, mirrored and shifted on a torus): as"
        " clustered, but knowing nothing. The distance between diamond and dot is what the heatmap's"
        " places are worth; the distance of a diamond from 0 is what its clustering costs or gains.",
        "spatial.csv",
    ),
    Caption(
        "ground_truth",
        "Relevance on the object, where it is known",
        "",
        "The drawn images come with the pixels of the object that names the class. Across: the share of"
        " the positive relevance that lies there; for random it is the object's share of the image."
        " Up: AOPC. Bars are 95 % intervals over images.",
        "ground_truth.csv",
    ),
)
