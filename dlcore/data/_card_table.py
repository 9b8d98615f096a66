"""The facts on the cards, a row a data set."""

from __future__ import annotations

_Row = tuple[str, str, str, str, str, str, tuple[str, ...], str]

_DIGITS = tuple("0123456789")
_OURS = "made by dlcore from a key; nothing is downloaded"
_MIT = "MIT, as dlcore"
_ASKED = "as many as are asked for"
_UNCUT = "none: another key gives other examples"
_UCI = "UCI Machine Learning Repository, as bundled with scikit-learn"
_TENTHS = "80% train, 10% validation, 10% test unless given, every class in proportion"
_PAIR = ("0", "1")
_CIFAR = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)"
_TORONTO = "University of Toronto, https://www.cs.toronto.edu/~kriz/cifar.html; a subset of 80 Million Tiny Images"
_SKLEARN = "Pedregosa and others, Scikit-learn: Machine Learning in Python (2011)"


def rows() -> dict[str, _Row]:
    """Returns the rows by name: about, source, licence, size, shapes, splits, classes, citation."""
    return _BUNDLED | _PUBLIC | {name: _synthetic(*row) for name, row in _SYNTHETIC.items()}


_BUNDLED: dict[str, _Row] = {
    "breast_cancer": (
        "Breast tumours, malignant or benign, by thirty measurements of the shape of cell nuclei.",
        f"University of Wisconsin; {_UCI}",
        "CC BY 4.0",
        "569 samples",
        "x (30,), y ()",
        _TENTHS,
        ("malignant", "benign"),
        "Wolberg, Mangasarian, Street and Street, Breast Cancer Wisconsin (Diagnostic) (1995)",
    ),
    "diabetes": (
        "Diabetes patients by ten measurements, and how far the disease went in a year.",
        "Efron, Hastie, Johnstone and Tibshirani, as bundled with scikit-learn",
        "none stated",
        "442 patients",
        "x (10,), y (1,)",
        "80% train, 10% validation, 10% test unless given",
        (),
        "Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression (2004)",
    ),
    "digits": (
        "Handwritten digits in 8 by 8 pixels, from 43 people: the test part of the UCI set.",
        f"Bogazici University; {_UCI}",
        "CC BY 4.0",
        "1,797 images",
        "x (8, 8, 1), y ()",
        _TENTHS,
        _DIGITS,
        "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (1998)",
    ),
    "iris": (
        "Iris flowers of three species by the lengths and widths of sepals and petals in cm.",
        f"Fisher; {_UCI}",
        "CC BY 4.0",
        "150 flowers",
        "x (4,), y ()",
        _TENTHS,
        ("setosa", "versicolor", "virginica"),
        "Fisher, The Use of Multiple Measurements in Taxonomic Problems (1936)",
    ),
    "wine": (
        "Wines of three growers of one region of Italy by thirteen chemical measurements.",
        f"Forina and others, Genoa; {_UCI}",
        "CC BY 4.0",
        "178 wines",
        "x (13,), y ()",
        _TENTHS,
        ("class_0", "class_1", "class_2"),
        "Aeberhard and Forina, Wine (1991)",
    ),
}

_PUBLIC: dict[str, _Row] = {
    "mnist": (
        "Handwritten digits in 28 by 28 grey pixels, by census employees and high-school pupils.",
        "LeCun, Cortes and Burges, from NIST Special Databases 1 and 3",
        "CC BY-SA 3.0, as commonly stated",
        "70,000 images",
        "x (28, 28, 1), y ()",
        "60,000 train, 10,000 test",
        _DIGITS,
        "LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition (1998)",
    ),
    "fashion_mnist": (
        "Pictures of clothes, shoes and bags in 28 by 28 grey pixels, in the format of MNIST.",
        "Zalando Research, https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
        "70,000 images",
        "x (28, 28, 1), y ()",
        "60,000 train, 10,000 test",
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        "Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking (2017)",
    ),
    "kmnist": (
        "Ten hiragana of classical Japanese books in 28 by 28 grey pixels, in the format of MNIST.",
        "ROIS-DS Center for Open Data in the Humanities, https://codh.rois.ac.jp/kmnist/",
        "CC BY-SA 4.0",
        "70,000 images",
        "x (28, 28, 1), y ()",
        "60,000 train, 10,000 test",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "Clanuwat and others, Deep Learning for Classical Japanese Literature (2018)",
    ),
    "cifar10": (
        "Colour photographs of ten kinds of animals and vehicles in 32 by 32 pixels.",
        _TORONTO,
        "none stated",
        "60,000 images",
        "x (32, 32, 3), y ()",
        "50,000 train, 10,000 test",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        _CIFAR,
    ),
    "cifar100": (
        "Colour photographs of a hundred kinds of things, in twenty groups of five, in 32 by 32 pixels.",
        _TORONTO,
        "none stated",
        "60,000 images",
        "x (32, 32, 3), y ()",
        "50,000 train, 10,000 test",
        tuple(
            "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
            "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup "
            "dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
            "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid "
            "otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
            "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
            "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
            "wardrobe whale willow_tree wolf woman worm".split()
        ),
        _CIFAR,
    ),
}

# about, shapes, classes, citation
_SYNTHETIC: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "blobs": ("Gaussian clouds, one class each.", "x (features,), y ()", ("0", "1", "2"), _SKLEARN),
    "checkerboard": (
        "Squares of a checkerboard on the unit square, in two colours.",
        "x (2,), y ()",
        _PAIR,
        "Ho and Kleinberg, Building Projectable Classifiers of Arbitrary Complexity (1996)",
    ),
    "chirps": (
        "Sounds whose frequency moves evenly; the targets are its start and end in Hz.",
        "x (length, 1), y (2,)",
        (),
        "Klauder, Price, Darlington and Albersheim, The Theory and Design of Chirp Radars (1960)",
    ),
    "circles": ("A small circle within a large one, one class each.", "x (2,), y ()", _PAIR, _SKLEARN),
    "dates": (
        "Dates in six human forms, to be translated to ISO, as tokens of characters.",
        "x (28,), y (10,)",
        (),
        "Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate (2015)",
    ),
    "digit_scenes": (
        "Scenes of several digits at random places, with boxes, labels and pixels.",
        "x (size, size, 1), y (count,), boxes (count, 4), masks (size, size)",
        _DIGITS,
        "Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017)",
    ),
    "lagged_copy": (
        "Tokens that are to be said again a fixed number of steps later.",
        "x (length,), y (length,)",
        (),
        "Hochreiter and Schmidhuber, Long Short-Term Memory (1997)",
    ),
    "moons": ("Two half circles that reach into each other, one class each.", "x (2,), y ()", _PAIR, _SKLEARN),
    "ravine": (
        "Points of a surface with a long narrow valley; the targets are heights.",
        "x (features,), y (1,)",
        (),
        "Rosenbrock, An Automatic Method for Finding the Greatest or Least Value of a Function (1960)",
    ),
    "reversal": (
        "Tokens that are to be turned around.",
        "x (length,), y (length,)",
        (),
        "Sutskever, Vinyals and Le, Sequence to Sequence Learning with Neural Networks (2014)",
    ),
    "sorting": (
        "Tokens that are to be put in rising order.",
        "x (length,), y (length,)",
        (),
        "Graves, Wayne and Danihelka, Neural Turing Machines (2014)",
    ),
    "spirals": (
        "Spiral arms that wind around each other, one class each.",
        "x (2,), y ()",
        _PAIR,
        "Lang and Witbrock, Learning to Tell Two Spirals Apart (1988)",
    ),
    "tent_map": (
        "Chaotic series of the tent map; the targets are the next values.",
        "x (length, 1), y (length, 1)",
        (),
        "Alligood, Sauer and Yorke, Chaos (1996)",
    ),
    "tones": (
        "Pure tones; the target is the frequency in Hz.",
        "x (length, 1), y (1,)",
        (),
        "Shannon, Communication in the Presence of Noise (1949)",
    ),
    "xor": (
        "Corners of the unit square, labelled by whether the two coordinates differ.",
        "x (2,), y ()",
        _PAIR,
        "Minsky and Papert, Perceptrons (1969)",
    ),
}


def _synthetic(about: str, shapes: str, classes: tuple[str, ...], citation: str) -> _Row:
    return about, _OURS, _MIT, _ASKED, shapes, _UNCUT, classes, citation
