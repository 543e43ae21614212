// Tokens of `.arch` specs that depend on more than the characters at hand: line ends and indentation, brackets (within which line
// breaks mean nothing), strings with expressions in braces, comments, `free`, and the figures of claims.

#include "tree_sitter/parser.h"
#include "tree_sitter/alloc.h"

#include <stddef.h>
#include <string.h>

enum Token {
    NEWLINE,
    INDENT,
    DEDENT,
    LINE_BREAK,
    COMMENT,
    DOCSTRING,
    STRING_START,
    STRING_CONTENT,
    ESCAPE_SEQUENCE,
    STRING_END,
    INTERPOLATION_START,
    INTERPOLATION_END,
    NESTED_STRING,
    FREE,
    FIGURE,
    OPEN_PARENTHESIS,
    CLOSE_PARENTHESIS,
    OPEN_BRACKET,
    CLOSE_BRACKET,
    OPEN_BRACE,
    CLOSE_BRACE,
    MISTAKE, // in no rule: an indentation that matches no line above, a string without its end
};

enum { TAB = 8, MOST_INDENTS = 200, MOST = 0xffff };

// What has been said of the line break that follows.
enum Break {
    OPEN,    // nothing
    ENDED,   // that it ends a statement
    SETTLED, // all: what blocks it ends or begins, or that it means nothing
};

enum Quote { NONE, SINGLE, DOUBLE, TRIPLE };

typedef struct {
    uint8_t line;     // a Break
    uint8_t quote;    // a Quote: of the string that we are in
    uint8_t in_hole;  // whether between the braces of that string
    uint16_t depth;   // open brackets, in a hole those within it
    uint16_t outside; // open brackets around the string
    uint16_t indents; // how many lines above are indented less, each than the next
    uint16_t columns[MOST_INDENTS];
} Scanner;

void *tree_sitter_arch_external_scanner_create(void) { return ts_calloc(1, sizeof(Scanner)); }

void tree_sitter_arch_external_scanner_destroy(void *payload) { ts_free(payload); }

unsigned tree_sitter_arch_external_scanner_serialize(void *payload, char *buffer) {
    Scanner *scanner = payload;
    unsigned size = (unsigned)(offsetof(Scanner, columns) + scanner->indents * sizeof(uint16_t));
    memcpy(buffer, scanner, size);
    return size;
}

void tree_sitter_arch_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
    memset(payload, 0, sizeof(Scanner));
    if (length) memcpy(payload, buffer, length);
}

static void advance(TSLexer *lexer) { lexer->advance(lexer, false); }

static bool at_end(TSLexer *lexer) { return lexer->eof(lexer); }

static bool is_digit(int32_t c) { return c >= '0' && c <= '9'; }

static bool is_letter(int32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static bool is_word(int32_t c) { return is_letter(c) || is_digit(c) || c > 127; }

static bool found(TSLexer *lexer, enum Token token) {
    lexer->result_symbol = token;
    return true;
}

// The token that was taken up to here.
static bool taken(TSLexer *lexer, enum Token token) {
    lexer->mark_end(lexer);
    return found(lexer, token);
}

// ------------------------------------------------------------------ strings

// Leave the string: it has no end where it must have one.
static bool broken_string(Scanner *scanner, TSLexer *lexer) {
    scanner->quote = NONE;
    scanner->in_hole = 0;
    scanner->depth = scanner->outside;
    return found(lexer, MISTAKE);
}

static bool string_start(Scanner *scanner, TSLexer *lexer) {
    int32_t c = lexer->lookahead;
    advance(lexer);
    lexer->mark_end(lexer);
    scanner->quote = c == '"' ? DOUBLE : SINGLE;
    scanner->outside = scanner->depth;
    if (c == '"' && lexer->lookahead == '"') {
        advance(lexer);
        if (lexer->lookahead == '"') {
            advance(lexer);
            lexer->mark_end(lexer);
            scanner->quote = TRIPLE;
        }
    }
    return found(lexer, STRING_START);
}

// Content, an escape, the brace that opens a hole, or the quotes at the end.
static bool string_part(Scanner *scanner, TSLexer *lexer) {
    bool triple = scanner->quote == TRIPLE;
    int32_t quote = scanner->quote == SINGLE ? '\'' : '"';
    for (bool content = false;; content = true) {
        int32_t c = lexer->lookahead;
        lexer->mark_end(lexer);
        if (at_end(lexer) || (c == '\n' && !triple)) {
            return content ? found(lexer, STRING_CONTENT) : broken_string(scanner, lexer);
        }
        advance(lexer);
        if (c == '\\') {
            int32_t escaped = lexer->lookahead;
            if (escaped == '{' || escaped == '}') continue; // a brace is one behind a backslash too
            if (content) return found(lexer, STRING_CONTENT);
            if (at_end(lexer) || (escaped == '\n' && !triple)) return broken_string(scanner, lexer);
            advance(lexer);
            return taken(lexer, ESCAPE_SEQUENCE);
        }
        if (c == quote) {
            int quotes = 1;
            while (triple && quotes < 3 && lexer->lookahead == quote) {
                advance(lexer);
                quotes++;
            }
            if (triple && quotes < 3) continue;
            if (content) return found(lexer, STRING_CONTENT);
            scanner->quote = NONE;
            return taken(lexer, STRING_END);
        }
        if (c == '{' || c == '}') {
            if (lexer->lookahead == c) { // doubled, it is the brace itself
                advance(lexer);
                continue;
            }
            if (content) return found(lexer, STRING_CONTENT);
            if (c == '}') return broken_string(scanner, lexer);
            scanner->in_hole = 1;
            scanner->depth = 0;
            return taken(lexer, INTERPOLATION_START);
        }
    }
}

// A string within a hole, whole: it can have no holes, since the first `}` closes that one, and no quotes of the outer string.
static bool nested_string(Scanner *scanner, TSLexer *lexer) {
    int32_t quote = lexer->lookahead;
    int32_t outer = scanner->quote == SINGLE ? '\'' : '"';
    if (quote == outer && scanner->quote != TRIPLE) return broken_string(scanner, lexer);
    advance(lexer);
    bool triple = false;
    if (quote == '"' && lexer->lookahead == '"') {
        advance(lexer);
        if (lexer->lookahead != '"') return taken(lexer, NESTED_STRING);
        if (scanner->quote == TRIPLE) return broken_string(scanner, lexer);
        advance(lexer);
        triple = true;
    }
    int quotes = 0, outers = 0; // in a row
    while (!at_end(lexer)) {
        int32_t c = lexer->lookahead;
        if (c == '}' || c == '\n') break; // either string has one line
        advance(lexer);
        quotes = c == quote ? quotes + 1 : 0;
        outers = c == outer ? outers + 1 : 0;
        if (quotes == (triple ? 3 : 1)) return taken(lexer, NESTED_STRING);
        if (outers == (scanner->quote == TRIPLE ? 3 : 1)) break;
        if (c == '{') {
            if (lexer->lookahead != '{') break;
            advance(lexer);
        }
        if (c == '\\') {
            if (at_end(lexer) || lexer->lookahead == '\n' || lexer->lookahead == '{' || lexer->lookahead == '}') break;
            advance(lexer);
        }
    }
    return broken_string(scanner, lexer);
}

static bool docstring(TSLexer *lexer) {
    int32_t quote = lexer->lookahead;
    advance(lexer);
    bool triple = false;
    if (quote == '"' && lexer->lookahead == '"') {
        advance(lexer);
        if (lexer->lookahead != '"') return taken(lexer, DOCSTRING);
        advance(lexer);
        triple = true;
    }
    int quotes = 0; // in a row
    while (!at_end(lexer)) {
        int32_t c = lexer->lookahead;
        if (c == '\n' && !triple) return false;
        advance(lexer);
        quotes = c == quote ? quotes + 1 : 0;
        if (quotes == (triple ? 3 : 1)) return taken(lexer, DOCSTRING);
        if (c == '\\') {
            if (at_end(lexer) || (lexer->lookahead == '\n' && !triple)) return false;
            advance(lexer);
        }
    }
    return false;
}

// ------------------------------------------------------------------ words and figures

// Take a word, its first characters into `word`, with a zero behind them.
static void take_word(TSLexer *lexer, char word[8]) {
    int length = 0;
    while (is_word(lexer->lookahead)) {
        if (length < 7) word[length++] = (char)lexer->lookahead;
        advance(lexer);
    }
    word[length] = 0;
}

// `free` before a name, that is not a name itself.
static bool free_(TSLexer *lexer) {
    static const char *const OTHERS[] = {"if", "else", "and", "or", "not", "in", "for"};
    char word[8];
    take_word(lexer, word);
    if (strcmp(word, "free") != 0) return false;
    lexer->mark_end(lexer);
    if (lexer->lookahead != ' ' && lexer->lookahead != '\t') return false;
    while (lexer->lookahead == ' ' || lexer->lookahead == '\t') advance(lexer);
    if (!is_letter(lexer->lookahead)) return false;
    take_word(lexer, word);
    for (unsigned i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        if (strcmp(word, OTHERS[i]) == 0) return false;
    }
    return found(lexer, FREE);
}

// `26M`, `4.1B`, `43_226`.
static bool figure(TSLexer *lexer) {
    while (is_digit(lexer->lookahead) || lexer->lookahead == '_') advance(lexer);
    lexer->mark_end(lexer);
    if (lexer->lookahead == '.') {
        advance(lexer);
        if (!is_digit(lexer->lookahead)) return found(lexer, FIGURE);
        while (is_digit(lexer->lookahead)) advance(lexer);
    }
    if (lexer->lookahead && strchr("KMGBT", lexer->lookahead)) advance(lexer);
    return is_word(lexer->lookahead) ? false : taken(lexer, FIGURE);
}

// ------------------------------------------------------------------ lines

static bool at_line_feed(TSLexer *lexer) { return lexer->lookahead == '\n' || lexer->lookahead == '\r'; }

// Take a line feed, with a carriage return before it or not. False for a carriage return alone.
static bool line_feed(TSLexer *lexer) {
    if (lexer->lookahead == '\r') advance(lexer);
    if (lexer->lookahead != '\n') return false;
    advance(lexer);
    return true;
}

// The line break at hand with the white space and the lines of nothing but that behind it, up to a comment or what comes next.
static bool line_break(Scanner *scanner, TSLexer *lexer) {
    if (!line_feed(lexer)) return false;
    lexer->mark_end(lexer);
    for (;;) {
        if (lexer->lookahead == ' ' || lexer->lookahead == '\t') advance(lexer);
        else if (!at_line_feed(lexer) || !line_feed(lexer)) break;
        lexer->mark_end(lexer);
    }
    if (lexer->lookahead != '#' && !at_end(lexer)) scanner->line = OPEN;
    return found(lexer, LINE_BREAK);
}

// From `#` to the end of the line; in a hole to the brace that closes it, wherever that stands.
static bool comment(Scanner *scanner, TSLexer *lexer) {
    int32_t quote = scanner->quote == SINGLE ? '\'' : '"';
    int quotes = 0; // in a row
    while (!at_end(lexer) && lexer->lookahead != '\n') {
        int32_t c = lexer->lookahead;
        if (scanner->in_hole) {
            quotes = c == quote ? quotes + 1 : 0;
            if (c == '}') break;
            if (quotes == (scanner->quote == TRIPLE ? 3 : 1)) return broken_string(scanner, lexer);
        }
        advance(lexer);
        if (c != '\r') lexer->mark_end(lexer);
        if (scanner->in_hole && c == '\\' && lexer->lookahead == quote) advance(lexer);
    }
    return found(lexer, COMMENT);
}

// Whether what is at hand goes on from the line above: an operator, `and` or `or`.
static bool continues(TSLexer *lexer) {
    int32_t c = lexer->lookahead;
    if (c && strchr("-+*/%@<>", c)) return true;
    if (c == '=' || c == '!') {
        advance(lexer);
        return lexer->lookahead == '=';
    }
    if (c != 'a' && c != 'o') return false;
    char word[8];
    take_word(lexer, word);
    return strcmp(word, "and") == 0 || strcmp(word, "or") == 0;
}

// A line break, a comment or the end of the file, outside of brackets: what it ends and begins is said first.
static bool line_end(Scanner *scanner, TSLexer *lexer, const bool *valid) {
    if (scanner->line == SETTLED) {
        if (at_end(lexer)) return false;
        return lexer->lookahead == '#' ? comment(scanner, lexer) : line_break(scanner, lexer);
    }
    unsigned columns = 0;
    while (!at_end(lexer)) {
        if (lexer->lookahead == '#') {
            while (!at_end(lexer) && lexer->lookahead != '\n') advance(lexer);
        } else if (!at_line_feed(lexer)) {
            break;
        } else if (!line_feed(lexer)) {
            break;
        } else {
            for (columns = 0; lexer->lookahead == ' ' || lexer->lookahead == '\t'; advance(lexer)) {
                columns += lexer->lookahead == '\t' ? TAB : 1;
            }
        }
    }
    if (at_end(lexer)) columns = 0;
    if (columns > MOST) columns = MOST;
    unsigned above = scanner->indents ? scanner->columns[scanner->indents - 1] : 0;
    if (scanner->line == OPEN) {
        if (!at_end(lexer) && continues(lexer)) {
            scanner->line = SETTLED;
            return found(lexer, LINE_BREAK);
        }
        if (columns > above && valid[INDENT] && scanner->indents < MOST_INDENTS) {
            scanner->columns[scanner->indents++] = (uint16_t)columns;
            scanner->line = SETTLED;
            return found(lexer, INDENT);
        }
        scanner->line = columns == above ? SETTLED : ENDED;
        return found(lexer, NEWLINE);
    }
    if (columns < above) {
        scanner->indents--;
        above = scanner->indents ? scanner->columns[scanner->indents - 1] : 0;
        scanner->line = columns == above ? SETTLED : ENDED;
        return found(lexer, DEDENT);
    }
    scanner->line = SETTLED;
    return found(lexer, MISTAKE);
}

// ------------------------------------------------------------------ all of it

bool tree_sitter_arch_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
    Scanner *scanner = payload;
    if (scanner->quote && !scanner->in_hole) return string_part(scanner, lexer);
    lexer->mark_end(lexer); // what has no text stands right behind the last token
    while (lexer->lookahead == ' ' || lexer->lookahead == '\t' || lexer->lookahead == '\f') lexer->advance(lexer, true);
    int32_t c = lexer->lookahead;
    if (scanner->in_hole) {
        if (at_end(lexer) || (at_line_feed(lexer) && scanner->quote != TRIPLE)) return broken_string(scanner, lexer);
        if (c == '#') return comment(scanner, lexer);
        if (c == '"' || c == '\'') return nested_string(scanner, lexer);
        if (c == '}') {
            scanner->in_hole = 0;
            scanner->depth = scanner->outside;
            advance(lexer);
            return taken(lexer, INTERPOLATION_END);
        }
    }
    if (at_end(lexer)) {
        // A backslash before the last line break leaves the statement without an end.
        if (scanner->depth || (scanner->line == OPEN && lexer->get_column(lexer) == 0)) return false;
        return line_end(scanner, lexer, valid);
    }
    if (at_line_feed(lexer)) return scanner->depth ? line_break(scanner, lexer) : line_end(scanner, lexer, valid);
    switch (c) {
    case '#':
        return scanner->depth ? comment(scanner, lexer) : line_end(scanner, lexer, valid);
    case '\\':
        advance(lexer);
        return line_feed(lexer) ? taken(lexer, LINE_BREAK) : false;
    case '"':
    case '\'':
        return valid[DOCSTRING] && !valid[STRING_START] ? docstring(lexer) : string_start(scanner, lexer);
    case '(':
    case '[':
    case '{':
        if (scanner->depth < MOST) scanner->depth++;
        advance(lexer);
        return taken(lexer, c == '(' ? OPEN_PARENTHESIS : c == '[' ? OPEN_BRACKET : OPEN_BRACE);
    case ')':
    case ']':
    case '}':
        if (scanner->depth) scanner->depth--;
        advance(lexer);
        return taken(lexer, c == ')' ? CLOSE_PARENTHESIS : c == ']' ? CLOSE_BRACKET : CLOSE_BRACE);
    case 'f':
        return valid[FREE] && free_(lexer);
    default:
        // Where the parser recovers from a mistake, all tokens are valid; a number is none of these then.
        return is_digit(c) && valid[FIGURE] && !valid[STRING_START] && figure(lexer);
    }
}
