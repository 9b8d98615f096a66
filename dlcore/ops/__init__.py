"""Array math without parameters."""

from dlcore.ops import filters as filters
from dlcore.ops._adaptive_pool import adaptive_avg_pool as adaptive_avg_pool
from dlcore.ops._adaptive_pool import adaptive_max_pool as adaptive_max_pool
from dlcore.ops._adaptive_pool import global_max_pool as global_max_pool
from dlcore.ops._apply_filter import apply_filter as apply_filter
from dlcore.ops._attention import attention as attention
from dlcore.ops._conv import conv as conv
from dlcore.ops._conv_transpose import conv_transpose as conv_transpose
from dlcore.ops._gru import gru as gru
from dlcore.ops._lengths import length_mask as length_mask
from dlcore.ops._linear import linear as linear
from dlcore.ops._lstm import lstm as lstm
from dlcore.ops._normalise import l2_normalise as l2_normalise
from dlcore.ops._normalise import moments as moments
from dlcore.ops._normalise import standardise as standardise
from dlcore.ops._pool import avg_pool as avg_pool
from dlcore.ops._pool import global_avg_pool as global_avg_pool
from dlcore.ops._pool import max_pool as max_pool
from dlcore.ops._positions import rotary as rotary
from dlcore.ops._positions import sinusoidal as sinusoidal
from dlcore.ops._rnn import rnn as rnn
from dlcore.ops._shuffle import pixel_shuffle as pixel_shuffle
from dlcore.ops._shuffle import pixel_unshuffle as pixel_unshuffle
from dlcore.ops._shuffle import upsample as upsample
from dlcore.ops._spread import conv_transpose_output_size as conv_transpose_output_size
from dlcore.ops._window import conv_output_size as conv_output_size
