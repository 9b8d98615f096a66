"""`dlcore summary`."""


def summary(preset: str = "lenet5", /) -> None:
    """Show a preset's layers: shapes, parameters and FLOPs of one example.

    Args:
        preset: what to show; see `dlcore list`.
    """
    from dlcore import data, inspect, presets

    chosen = presets.preset(preset)
    print(inspect.summary(chosen.model(), data.load(chosen.data).train["x"][:1]))
