/* SPDX-License-Identifier: Apache-2.0 */
/* What clients may call things, and the numbered names of RunInstances. Pure. */
#pragma once

#include "base/arena.h"

#define NAME_MAX_CHARS 128
#define DESCRIPTION_MAX_CHARS 256
#define TAG_TEXT_MAX_CHARS 128
#define HOST_NAME_MAX_LINUX 64
#define HOST_NAME_MAX_WINDOWS 15

/* 2 to 128 characters, a letter first, then letters, digits and : _ . - ; any non-ASCII character
 * counts as a letter. */
bool name_valid(struct str name);
/* 2 to 256 characters, no http:// or https:// in front. */
bool description_valid(struct str text);
/* Linux: 2 to 64, segments of letters, digits, hyphens joined by dots. Windows: 2 to 15, no dot,
 * not digits only. */
bool host_name_valid(struct str name, bool windows);
/* 8 to 30 characters of at least three kinds; Windows: no slash in front. */
bool password_valid(struct str password, bool windows);
bool tag_key_valid(struct str key);
bool tag_value_valid(struct str value);
/* Role session names of AssumeRole: 2 to 64 of letters, digits and . @ - _ */
bool session_name_valid(struct str name);

/* "prefix[begin,bits]suffix" taken apart; `numbered` false: the text is a plain name. */
struct name_pattern {
    struct str prefix;
    struct str suffix;
    bool numbered;
    int64_t begin;
    int bits;
};
void name_pattern_parse(struct str text, struct name_pattern *ret);
/*
 * The name of the index-th instance. `unique`: UniqueSuffix, three digits from 001, left out where
 * the pattern ends in its number.
 */
struct str name_pattern_print(struct arena *arena, const struct name_pattern *pattern,
                              int64_t index, bool unique);
/* Every "${instance_id}" replaced. */
struct str name_fill_id(struct arena *arena, struct str text, struct str instance_id);
