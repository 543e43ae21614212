"""From a PyTorch module to the text of a spec: captured, converted op by op, put together as the module's classes are, written."""
