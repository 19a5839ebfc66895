/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Force-included into every file of ours: calls of these functions do not compile. The name in the compiler's message
 * says what to use instead. The headers that declare them come first, so that their declarations stay intact; the macros
 * are function-like, so that a member or an attribute of the same name (`malloc`) is left alone.
 */
#pragma once

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* They write without knowing the room. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef stpcpy
#define strcpy(...) banned_strcpy_use_arena_str_or_buf
#define strcat(...) banned_strcat_use_buf_add
#define sprintf(...) banned_sprintf_use_snprintf_or_buf_printf
#define vsprintf(...) banned_vsprintf_use_vsnprintf
#define stpcpy(...) banned_stpcpy_use_buf_add

/* They truncate or do not end the text, silently. */
#undef strncpy
#undef strncat
#define strncpy(...) banned_strncpy_use_arena_str
#define strncat(...) banned_strncat_use_buf_add

/* Hidden state, or input changed under the caller's feet. */
#undef strtok
#undef strtok_r
#define strtok(...) banned_strtok_use_str_split
#define strtok_r(...) banned_strtok_r_use_str_split

/* They can't say that the text is wrong. */
#undef atoi
#undef atol
#undef atoll
#undef atof
#define atoi(...) banned_atoi_use_str_to_i64
#define atol(...) banned_atol_use_str_to_i64
#define atoll(...) banned_atoll_use_str_to_i64
#define atof(...) banned_atof_use_str_to_double

/* Time zones and locale: see base/clock.h. */
#undef gmtime
#undef gmtime_r
#undef localtime
#undef localtime_r
#undef mktime
#undef ctime
#undef asctime
#undef strftime
#define gmtime(...) banned_gmtime_use_time_print
#define gmtime_r(...) banned_gmtime_r_use_time_print
#define localtime(...) banned_localtime_use_time_print
#define localtime_r(...) banned_localtime_r_use_time_print
#define mktime(...) banned_mktime_use_time_parse
#define ctime(...) banned_ctime_use_time_print
#define asctime(...) banned_asctime_use_time_print
#define strftime(...) banned_strftime_use_time_print

/* Not replayable and not random: see base/env.h. */
#undef rand
#undef srand
#undef rand_r
#define rand(...) banned_rand_use_env_random
#define srand(...) banned_srand_use_env_new_seeded
#define rand_r(...) banned_rand_r_use_env_random

/* Out of memory has one answer: see base/mem.h. (free stays: other libraries hand us memory to free.) */
#undef malloc
#undef calloc
#undef realloc
#undef reallocarray
#undef strdup
#undef strndup
#undef asprintf
#undef vasprintf
#undef alloca
#define malloc(...) banned_malloc_use_arena_or_xcalloc
#define calloc(...) banned_calloc_use_arena_or_xcalloc
#define realloc(...) banned_realloc_use_arena_or_xrealloc
#define reallocarray(...) banned_reallocarray_use_arena_or_xrealloc
#define strdup(...) banned_strdup_use_arena_str_or_xstrdup
#define strndup(...) banned_strndup_use_arena_str
#define asprintf(...) banned_asprintf_use_arena_printf
#define vasprintf(...) banned_vasprintf_use_arena_vprintf
#define alloca(...) banned_alloca_use_arena
