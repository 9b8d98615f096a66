"""LeNet-5."""

from typing import Any

from dlcore import layers
from dlcore.core import layer
from dlcore.initializers import he_normal, lecun_normal


@layer
def lenet5(classes: int = 10) -> Any:
    """LeNet-5 in the form that is usual today: two convolutions with ReLU and max pooling, three dense layers.

    The network of 1998 has tanh units, trainable subsampling and Gaussian connections on top; this is its successor in
    courses, with the same sizes: 6 and 16 maps of 5 x 5, then 120, 84 and the classes.

    Args:
      classes: number of classes.

    Returns:
      A layer from images (B, H, W, C), of 28 x 28 usually, to logits (B, classes).

    Source: LeCun, Bottou, Bengio and Haffner, 1998.

    Example:
      >>> import jax
      >>> params, _ = lenet5().init(jax.random.key(0), jax.ShapeDtypeStruct((1, 28, 28, 1), "float32"))
      >>> sum(leaf.size for leaf in jax.tree.leaves(params))
      61706
    """
    he = he_normal()
    return layers.serial(
        conv1=layers.conv(6, 5, kernel_init=he),
        relu1=layers.relu(),
        pool1=layers.max_pool(2),
        conv2=layers.conv(16, 5, padding="VALID", kernel_init=he),
        relu2=layers.relu(),
        pool2=layers.max_pool(2),
        flatten=layers.flatten(),
        dense1=layers.dense(120, kernel_init=he),
        relu3=layers.relu(),
        dense2=layers.dense(84, kernel_init=he),
        relu4=layers.relu(),
        out=layers.dense(classes, kernel_init=lecun_normal()),
    )
