"""The rooms of `Replica`, one a concern; all stand on `opened.Opened`."""
