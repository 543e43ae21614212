; What words, names and strings of `.arch` specs are. Names of layers begin with a capital; those of sizes have one or two letters.

(comment) @comment @spell
(docstring) @string.documentation @spell
(string) @string
(escape_sequence) @string.escape
(interpolation ["{" "}"] @punctuation.special)
(interpolation (_) @embedded)

[(integer) (figure)] @number
(float) @number.float
[(true) (false)] @boolean
(none) @constant.builtin

; Words

["block" "model" "claims" "names" "defaults" "budget"] @keyword.type
"def" @keyword.function
"return" @keyword.return
["from" "import" "as"] @keyword.import
["if" "elif" "else"] @keyword.conditional
"for" @keyword.repeat
["and" "or" "not" "in"] @keyword.operator
["input" "weight" "buffer" "constant" "shared"] @keyword.storage
["require" "at" "but" "free"] @keyword

; Definitions

(definition name: (identifier) @type.definition)
(function_definition name: (identifier) @function)
(parameter name: (identifier) @variable.parameter)
(type name: (identifier) @type.builtin)
(input name: (identifier) @variable.parameter)
(input dtype: (identifier) @type.builtin)
(own name: (identifier) @variable.member)
(own dtype: (identifier) @type.builtin)
(shared name: (identifier) @variable.member)
(path (identifier) @module)
(claims model: (identifier) @type)
(claim quantity: (identifier) @property)
(names model: (identifier) @type)

; Steps: their names are keys of the state_dict

(step label: (identifier) @label)
(item label: (identifier) @label)
(step label: (string) @label)
(item label: (string) @label)
(replacement path: (string) @label)
(argument name: (identifier) @variable.parameter)
(setting name: (identifier) @variable.parameter)
(named_output name: (identifier) @variable.parameter)
(attribute name: (identifier) @property)

; Layers have capitals, functions and first values have none

((identifier) @type
  (#match? @type "^[A-Z]([A-Za-z0-9_]*[a-z]|[A-Za-z0-9_]{2,})"))

(call callee: (identifier) @function.builtin
  (#any-of? @function.builtin
    "abs" "all" "any" "ceil" "concat" "cos" "enumerate" "exp" "float" "floor" "grid" "int" "len" "log" "log2" "max" "min" "prod"
    "range" "relative" "reversed" "round" "round_to" "sin" "sorted" "sqrt" "str" "sum" "zip"))

((identifier) @constant.builtin
  (#any-of? @constant.builtin
    "constant" "identity" "kaiming_normal" "kaiming_uniform" "normal" "ones" "outer_sum" "pi" "trunc_normal" "uniform" "values"
    "xavier_normal" "xavier_uniform" "zero_row" "zeros"))

; Signs

["->" ".."] @operator
["=" "+=" "-=" "*=" "/=" "//=" "%=" "**=" "@="] @operator
["+" "-" "*" "/" "//" "%" "@" "**"] @operator
["==" "!=" "<" "<=" ">" ">="] @operator
["(" ")" "[" "]"] @punctuation.bracket
(choices ["{" "}"] @punctuation.bracket)
["," ":" "."] @punctuation.delimiter
