"""Facts about a graph, one kind per file; none of them changes it or runs it."""
