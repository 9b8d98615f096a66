"""Looking into models: their layers as a table, their outputs by path, the operations that they take."""

from dlcore.inspect._flops import flops as flops
from dlcore.inspect._summary import Row as Row
from dlcore.inspect._summary import Summary as Summary
from dlcore.inspect._summary import summary as summary
from dlcore.inspect._tap import tap as tap
