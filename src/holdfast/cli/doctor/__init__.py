"""`holdfast doctor`: looks at everything between a device's tables and the hub's store, and names the remedy."""
