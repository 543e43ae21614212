; What a file defines and uses, for jumping to symbols.

(definition name: (identifier) @name) @definition.class
(function_definition name: (identifier) @name) @definition.function
(call callee: (identifier) @name) @reference.call
(claims model: (identifier) @name) @reference.class
(names model: (identifier) @name) @reference.class
(imported name: (identifier) @name) @reference.class
