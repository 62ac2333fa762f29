// C view of RE2: just what Invar calls.
#ifndef INVAR_CRE2_H
#define INVAR_CRE2_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct invar_re2 invar_re2;

/// One submatch as a byte range of the text; `begin` is -1 where the group took no part in the match.
typedef struct {
    ptrdiff_t begin;
    ptrdiff_t end;
} invar_re2_range;

/// What is wrong with a pattern: RE2's error code and the piece of the pattern it is about, cut to the array.
typedef struct {
    int code;
    char argument[256];
} invar_re2_error;

/// Compiles `pattern`. Returns NULL and fills `error` when it is invalid.
invar_re2 *invar_re2_new(
    const char *pattern, size_t length, bool case_insensitive, bool dot_matches_newline, size_t max_memory,
    invar_re2_error *error);
void invar_re2_delete(invar_re2 *expression);

/// Number of capturing groups, the whole match not counted.
int invar_re2_group_count(const invar_re2 *expression);

/// Name of capturing group `index` (from 1), or NULL when it has none. Valid as long as the expression.
const char *invar_re2_group_name(const invar_re2 *expression, int index);

/// Searches `text` from byte `start`; `anchored` asks for a match of all of it from `start` to the end.
/// A NULL `text` is empty. Fills `count` ranges: the whole match, then the groups.
bool invar_re2_match(
    const invar_re2 *expression, const char *text, size_t length, size_t start, bool anchored,
    invar_re2_range *ranges, int count);

/// First place of `needle` in `text` (glibc's memmem, which Swift's Glibc module hides), or NULL.
const void *invar_find(const void *text, size_t length, const void *needle, size_t needle_length);

#ifdef __cplusplus
}
#endif
#endif
