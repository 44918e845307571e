"""The table of entities: which row belongs to whom, who is evicted, and the memory quota."""
