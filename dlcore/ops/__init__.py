"""Array math without parameters."""

from dlcore.ops._attention import attention as attention
from dlcore.ops._attention import length_mask as length_mask
from dlcore.ops._conv import conv as conv
from dlcore.ops._pool import avg_pool as avg_pool
from dlcore.ops._pool import global_avg_pool as global_avg_pool
from dlcore.ops._pool import max_pool as max_pool
from dlcore.ops._positions import rotary as rotary
from dlcore.ops._positions import sinusoidal as sinusoidal
from dlcore.ops._window import conv_output_size as conv_output_size
