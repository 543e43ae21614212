"""From a graph to something else; each is imported only when asked for."""
