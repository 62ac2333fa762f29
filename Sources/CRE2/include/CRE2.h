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

/// Compiles `pattern`. Returns NULL and fills `error` (NUL-terminated, cut to `error_size`) when it is invalid.
invar_re2 *invar_re2_new(
    const char *pattern, size_t length, bool case_insensitive, size_t max_memory, char *error, size_t error_size);
void invar_re2_delete(invar_re2 *expression);

/// Number of capturing groups, the whole match not counted.
int invar_re2_group_count(const invar_re2 *expression);

/// Name of capturing group `index` (from 1), or NULL when it has none. Valid as long as the expression.
const char *invar_re2_group_name(const invar_re2 *expression, int index);

/// Searches `text` from byte `start`; `anchored` asks for a match of all of it from `start` to the end.
/// Fills `count` ranges: the whole match, then the groups.
bool invar_re2_match(
    const invar_re2 *expression, const char *text, size_t length, size_t start, bool anchored,
    invar_re2_range *ranges, int count);

#ifdef __cplusplus
}
#endif
#endif
