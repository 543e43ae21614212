; Where names are bound, and where they hold.

[(source_file) (definition) (function_definition) (comprehension)] @local.scope

(definition name: (identifier) @local.definition.type)
(function_definition name: (identifier) @local.definition.function)
(imported alias: (identifier) @local.definition.import)
(imported name: (identifier) @local.definition.import !alias)
(parameter name: (identifier) @local.definition.parameter)
(input name: (identifier) @local.definition.parameter)
(own name: (identifier) @local.definition.var)
(shared name: (identifier) @local.definition.var)
(targets (identifier) @local.definition.var)
(augmented_assignment target: (identifier) @local.definition.var)

(identifier) @local.reference
