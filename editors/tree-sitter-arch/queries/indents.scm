; Where the next line is indented more (Neovim's names).

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
  (chain)
] @indent.begin

[(list) (tuple) (comprehension) (parameters) (call) (choices) (pattern) (shape)] @indent.begin
[")" "]" "}"] @indent.branch @indent.end
(return) @indent.dedent
[(comment) (docstring) (string)] @indent.auto
