"""The laws of layers, for ours and for yours: `check_layer(my_layer(), x)` in a test says which one is broken."""

from dlcore.testing._check_layer import check_layer as check_layer
