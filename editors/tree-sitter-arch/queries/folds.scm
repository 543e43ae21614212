; What can be folded: bodies, and brackets and strings over several lines.

[
  (definition)
  (function_definition)
  (claims)
  (names)
  (defaults)
  (if)
  (elif)
  (else)
  (for)
  (docstring)
  (list)
  (tuple)
  (comprehension)
  (parameters)
  (call)
] @fold
