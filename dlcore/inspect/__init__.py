"""Looking into models: layers as a table, outputs by path, the operations that they take, how far they see."""

from dlcore.inspect._flops import flops as flops
from dlcore.inspect._receptive_field import ReceptiveField as ReceptiveField
from dlcore.inspect._receptive_field import receptive_field as receptive_field
from dlcore.inspect._summary import Row as Row
from dlcore.inspect._summary import Summary as Summary
from dlcore.inspect._summary import summary as summary
from dlcore.inspect._tap import tap as tap
