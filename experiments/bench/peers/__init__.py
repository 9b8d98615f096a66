"""Systems that train the same networks, for `experiments/bench/peers.py`: one a module, imported when asked for."""
