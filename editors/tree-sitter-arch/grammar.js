/**
 * The grammar of `.arch` specs for editors. It mirrors `archspec/syntax/arch.lark` rule by rule, so that both accept the same
 * texts; `tests/editors/test_tree_sitter.py` compares them. Lines, indentation, brackets, strings and comments are the scanner's
 * (`src/scanner.c`), since whether a line break ends a statement depends on brackets and on the line that follows.
 *
 * `./generate` writes `src/parser.c`.
 */

/// <reference types="tree-sitter-cli/dsl" />
// @ts-check

const digits = /\d(_?\d)*/;
const exponent = /[eE][+-]?\d+/;

/** One or more, with commas between. */
const list = (rule) => seq(rule, repeat(seq(",", rule)));

/** As `list`, and a comma may follow. */
const open_list = (rule) => seq(list(rule), optional(","));

module.exports = grammar({
  name: "arch",

  externals: ($) => [
    $._newline,
    $._indent,
    $._dedent,
    $._line_break,
    $.comment,
    $.docstring,
    $._string_start,
    $.string_content,
    $.escape_sequence,
    $._string_end,
    $._interpolation_start,
    $._interpolation_end,
    $._nested_string,
    $._free,
    $.figure,
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    $._mistake, // in no rule
  ],

  extras: ($) => [/[ \t\f]+/, $._line_break, $.comment],

  word: ($) => $.identifier,

  rules: {
    source_file: ($) => seq(optional($._newline), repeat($._top_level)),

    // ---------------------------------------------------------------- top level

    _top_level: ($) =>
      choice(
        $._docstring_line,
        $.import,
        $.definition,
        $.function_definition,
        $.claims,
        $.names,
        $.budget,
        $.defaults,
        $.assignment,
        $.augmented_assignment,
        $.require,
        $.if,
        $.for,
      ),

    _docstring_line: ($) => seq($.docstring, $._newline),

    import: ($) => seq("from", field("path", $.path), "import", list($.imported), $._newline),
    path: ($) => seq($.identifier, repeat(seq(".", $.identifier))),
    imported: ($) => seq(field("name", $.identifier), optional(seq("as", field("alias", $.identifier)))),

    definition: ($) =>
      seq(
        field("kind", choice("block", "model")),
        field("name", $.identifier),
        optional(field("parameters", $.parameters)),
        choice(seq("=", field("layer", $._chain), $._newline), seq(":", field("body", $.suite))),
      ),
    function_definition: ($) =>
      seq("def", field("name", $.identifier), field("parameters", $.parameters), ":", field("body", $.suite)),

    parameters: ($) => seq("(", optional(open_list($.parameter)), ")"),
    parameter: ($) =>
      seq(
        field("name", $.identifier),
        optional(seq(":", field("type", $.type))),
        optional(seq("in", field("domain", choice($.choices, $.range)))),
        optional(seq("=", field("default", $._condition))),
      ),
    type: ($) => seq(field("name", $.identifier), optional(seq("[", field("item", $.type), "]"))),
    choices: ($) => seq("{", open_list($._condition), "}"),
    range: ($) => seq(field("low", $._sum), "..", field("high", $._sum)),

    budget: ($) => seq("budget", $.integer, $._newline),

    claims: ($) =>
      seq(
        "claims",
        field("model", $.identifier),
        optional(field("source", $.string)),
        optional(seq("at", list($.setting))),
        ":",
        $._indent,
        repeat1($.claim),
        $._dedent,
      ),
    setting: ($) => seq(field("name", $.identifier), "=", field("value", $._condition)),
    claim: ($) =>
      seq(
        field("quantity", $.identifier),
        optional(field("subject", $.identifier)),
        field("value", choice($.figure, $.shape)),
        optional(seq("but", field("known", $.figure), field("reason", $.string))),
        $._newline,
      ),

    names: ($) =>
      seq(
        "names",
        field("model", $.identifier),
        optional(field("title", $.string)),
        ":",
        $._indent,
        repeat1($.renaming),
        $._dedent,
      ),
    renaming: ($) =>
      seq(
        $._keys,
        "->",
        choice(
          seq(field("target", $.string), optional(seq(":", field("pattern", $.string)))),
          seq($.none, field("reason", $.string)),
        ),
        $._newline,
      ),
    _keys: ($) =>
      choice(
        field("source", $.string),
        seq("(", field("source", $.string), ",", open_list(field("source", $.string)), ")"),
      ),

    // ---------------------------------------------------------------- statements

    suite: ($) => seq($._indent, repeat1($._statement), $._dedent),

    _statement: ($) =>
      choice(
        $._docstring_line,
        $.input,
        $.own,
        $.shared,
        $.defaults,
        $.assignment,
        $.augmented_assignment,
        $.require,
        $.if,
        $.for,
        $.return,
      ),

    input: ($) =>
      seq(
        "input",
        choice(
          seq(field("name", $.identifier), optional(seq(":", $._pattern_of_dtype))),
          seq(field("name", $.identifier), ":", $._count, "*", $._pattern_of_dtype),
          seq("*", field("name", $.identifier), optional(seq(":", $._pattern_of_dtype))),
        ),
        $._newline,
      ),
    _pattern_of_dtype: ($) => seq(optional(field("dtype", $.identifier)), field("pattern", $.pattern)),
    _count: ($) =>
      choice(
        field("count", choice($.identifier, $.integer)),
        seq("(", field("count", $._condition), ")"),
      ),
    pattern: ($) => seq("[", optional(open_list(choice($.rest_sizes, $._condition))), "]"),
    rest_sizes: ($) => seq("*", $.identifier),

    own: ($) =>
      seq(
        field("kind", choice("weight", "buffer", "constant")),
        $._own_name,
        ":",
        optional(field("dtype", $.identifier)),
        field("shape", $.shape),
        "=",
        field("value", $._condition),
        $._newline,
      ),
    _own_name: ($) =>
      choice(field("name", $.identifier), seq(field("label", $.string), "as", field("name", $.identifier))),
    shape: ($) => seq("[", optional(open_list(choice($._condition, $.spread))), "]"),

    shared: ($) => seq("shared", $._own_name, "=", field("value", $._condition), $._newline),
    defaults: ($) => seq("defaults", ":", $._indent, repeat1(choice($.rule, $.substitution, $.replacement, $.insertion)), $._dedent),
    rule: ($) => seq($._condition, optional(seq(":", $._condition)), $._newline),
    substitution: ($) => seq(field("op", $.identifier), "=", field("value", $._condition), $._newline),
    replacement: ($) => seq(field("path", $.string), "=", field("value", $._condition), $._newline),
    insertion: ($) => seq($.step, repeat1(seq("->", $.step)), $._newline),

    assignment: ($) => seq(field("target", $.targets), "=", field("value", $._chains), $._newline),
    augmented_assignment: ($) =>
      seq(
        field("target", $._bound),
        field("operator", choice("+=", "-=", "*=", "/=", "//=", "%=", "**=", "@=")),
        field("value", $._chains),
        $._newline,
      ),
    require: ($) =>
      seq(
        "require",
        field("test", $._condition),
        optional(seq(",", field("message", $.string))),
        $._newline,
      ),
    if: ($) =>
      seq(
        "if",
        field("test", $._condition),
        ":",
        field("body", $.suite),
        repeat($.elif),
        optional($.else),
      ),
    elif: ($) => seq("elif", field("test", $._condition), ":", field("body", $.suite)),
    else: ($) => seq("else", ":", field("body", $.suite)),
    for: ($) =>
      seq("for", field("target", $.targets), "in", field("iterable", $._condition), ":", field("body", $.suite)),
    return: ($) => seq("return", choice($._chains, list($.named_output)), $._newline),
    named_output: ($) => seq(field("name", $.identifier), "=", field("value", $._chain)),

    targets: ($) => open_list($._target),
    _target: ($) => choice($._bound, seq("(", $.targets, ")")),
    // A word of the language where a name and a string follow, else a name.
    _bound: ($) => choice($.identifier, alias("names", $.identifier)),

    // ---------------------------------------------------------------- expressions

    _chains: ($) => choice($._chain, $.bare_tuple),
    bare_tuple: ($) => seq($._chain, repeat1(seq(",", $._chain)), optional(",")),
    _chain: ($) => choice($._condition, $.chain),
    chain: ($) => seq(field("source", $._condition), repeat1(seq("->", $.step))),
    // A colon belongs to the step before it, as in `[x -> a: b]`.
    step: ($) =>
      prec.right(
        choice(
          field("layer", $._condition),
          seq(field("label", $._condition), ":", field("layer", $._condition)),
        ),
      ),

    _condition: ($) => choice($._or, $.conditional),
    conditional: ($) =>
      seq(field("then", $._or), "if", field("test", $._or), "else", field("other", $._condition)),
    _or: ($) => choice($._and, alias($.disjunction, $.logic)),
    disjunction: ($) => seq($._and, repeat1(seq("or", $._and))),
    _and: ($) => choice($._not, alias($.conjunction, $.logic)),
    conjunction: ($) => seq($._not, repeat1(seq("and", $._not))),
    _not: ($) => choice($._comparison, alias($.negation, $.unary)),
    negation: ($) => seq("not", $._not),
    _comparison: ($) => choice($._sum, $.comparison),
    comparison: ($) => seq($._sum, repeat1(seq($.comparator, $._sum))),
    comparator: (_) => choice("==", "!=", "<=", ">=", "<", ">", "in", seq("not", "in")),
    _sum: ($) => choice($._product, alias($.sum, $.binary)),
    sum: ($) => seq(field("left", $._sum), field("operator", choice("+", "-")), field("right", $._product)),
    _product: ($) => choice($._signed, alias($.product, $.binary)),
    product: ($) =>
      seq(
        field("left", $._product),
        field("operator", choice("*", "//", "/", "%", "@")),
        field("right", $._signed),
      ),
    _signed: ($) => choice($._power, alias($.sign, $.unary)),
    sign: ($) => seq(choice("+", "-"), $._signed),
    _power: ($) => choice($._postfix, alias($.power, $.binary)),
    power: ($) => seq(field("left", $._postfix), field("operator", "**"), field("right", $._signed)),
    _postfix: ($) => choice($._atom, $.attribute, $.call, $.subscript),
    attribute: ($) => seq(field("value", $._postfix), ".", field("name", $.identifier)),
    call: ($) => seq(field("callee", $._postfix), "(", optional(open_list($.argument)), ")"),
    subscript: ($) =>
      seq(field("value", $._postfix), "[", open_list(choice($._condition, $.slice)), "]"),

    argument: ($) =>
      choice(
        seq(field("name", $.identifier), "=", field("value", $._chain)),
        seq(field("value", $._chain), repeat($.clause)),
        field("value", $.spread),
      ),
    spread: ($) => seq("*", $._postfix),
    _element: ($) => choice($._chain, $.spread),
    slice: ($) =>
      seq(
        optional(field("start", $._condition)),
        ":",
        optional(field("stop", $._condition)),
        optional(seq(":", optional(field("step", $._condition)))),
      ),

    _atom: ($) =>
      choice(
        $.identifier,
        $.free_size,
        $.integer,
        $.float,
        $.string,
        alias($._nested_string, $.string),
        $.true,
        $.false,
        $.none,
        $.parenthesised,
        $.tuple,
        $.list,
        $.comprehension,
      ),
    free_size: ($) => seq(alias($._free, "free"), $.identifier),
    true: (_) => "true",
    false: (_) => "false",
    none: (_) => "none",
    parenthesised: ($) => seq("(", $._chain, ")"),
    tuple: ($) =>
      choice(seq("(", ")"), seq("(", $._element, ",", optional(open_list($._element)), ")")),
    list: ($) => seq("[", optional(open_list($.item)), "]"),
    comprehension: ($) => seq("[", $.item, repeat1($.clause), "]"),
    item: ($) =>
      choice(
        field("value", $._chain),
        seq(field("label", $._chain), ":", field("value", $._condition)),
        field("value", $.spread),
      ),
    clause: ($) =>
      seq("for", field("target", $.targets), "in", field("iterable", $._or), repeat(seq("if", field("test", $._or)))),

    // ---------------------------------------------------------------- tokens

    string: ($) =>
      seq(
        alias($._string_start, '"'),
        repeat(choice($.string_content, $.escape_sequence, $.interpolation)),
        alias($._string_end, '"'),
      ),
    interpolation: ($) =>
      seq(alias($._interpolation_start, "{"), $._condition, alias($._interpolation_end, "}")),
    identifier: (_) => /[A-Za-z_][A-Za-z_0-9]*/,
    integer: (_) => digits,
    float: (_) =>
      token(choice(seq(digits, ".", digits, optional(exponent)), seq(digits, exponent))),
  },
});
