"""One product for any leading axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.ops import linear


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (2, 1, 4, 3), (2, 0, 3), (0, 5, 3)])
def test_it_is_the_product_and_so_are_its_gradients(shape):
    draw = np.random.default_rng(0)
    x, kernel = jnp.asarray(draw.normal(size=shape), jnp.float32), jnp.asarray(draw.normal(size=(3, 5)), jnp.float32)
    np.testing.assert_array_equal(linear(x, kernel), x @ kernel)
    total = lambda product: jax.grad(lambda x, kernel: jnp.sin(product(x, kernel)).sum(), argnums=(0, 1))(x, kernel)
    for ours, plain in zip(total(linear), total(jnp.matmul), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)


def test_the_gradient_by_the_kernel_transposes_no_cotangent():
    x, kernel = jnp.ones((4, 6, 3)), jnp.ones((3, 5))
    text = jax.jit(jax.grad(lambda kernel: jnp.sin(linear(x, kernel)).sum())).lower(kernel).as_text()
    assert "dims = [0, 1]" not in text and "tensor<24x5xf32>" in text
