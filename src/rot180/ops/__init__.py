"""The mathematics: each operation's forward and backward as pure functions of NumPy arrays."""
