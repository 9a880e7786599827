"""Work in shards, over processes or machines, with its progress."""
