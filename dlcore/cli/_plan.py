"""`dlcore plan`."""

import sys

from dlcore.cli._mesh import read_mesh
from dlcore.cli._start import arguments_of


def plan(
    preset: str = "lenet5",
    /,
    on: str = "cpu",
    mesh: tuple[str, ...] = (),
    shard_params: bool = False,
    batch_size: int | None = None,
    policy: str | None = None,
    accumulate: int | None = None,
) -> None:
    """Say what training a preset needs on a machine that need not be here; exit status 1 where it does not fit.

    Args:
        preset: what to plan; see `dlcore list`.
        on: a slice of TPUs, as v5e:2x2, v5p:2x2x1, v6e:2x2 or tpu7x:2x2x1; GPUs, as cuda:h100 or cuda:h100:8 (also
            a100, h200); cpu; or cuda where a GPU is.
        mesh: devices by axis, as in --mesh data=4 model=2; one device by default.
        shard_params: keep on each device a part of params and optimizer only, cut along the axis data.
        batch_size: examples a step, over all devices.
        policy: the precision to compute in: bf16 or fp16.
        accumulate: cut each batch into so many parts, one after another.
    """
    from dlcore import presets
    from dlcore.train import plan as plan_run

    layout = read_mesh(mesh, shard_params)
    arguments = arguments_of(presets.preset(preset))
    given = {"batch_size": batch_size, "policy": policy, "accumulate": accumulate}
    arguments |= {name: value for name, value in given.items() if value is not None}
    model, data = arguments.pop("model"), arguments.pop("data")
    found = plan_run(model, data, on=on, mesh=layout, **arguments)
    print(found)
    if not found.fits:
        sys.exit(1)
