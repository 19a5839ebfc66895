/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes: how a C struct looks on the wire. tools/gen_api.py makes them from api/actions; the gateway interprets them, in
 * both directions. One description serves query parameters, JSON and XML.
 *
 * kind            C member                         absent
 * STR             struct str                       ptr == NULL
 * BOOL            bool, or struct opt_bool (OPT)   set == false
 * INT             int64_t, or struct opt_int
 * FLOAT           double, or struct opt_float
 * ENUM            int: index into words            -1
 * TIME_MINUTE     usec_t                           0
 * TIME_SECOND     usec_t                           0
 * OBJECT          the struct, embedded             (OPT: a pointer to it, NULL)
 * with LIST       struct { T *items; size_t count; }  (STR: struct str_list, OBJECT: X_list), count == 0
 *                 (with JSON: items == NULL; an empty array has items != NULL and count == 0)
 */
#pragma once

#include "base/clock.h"

struct opt_bool {
    bool set;
    bool value;
};

struct opt_int {
    bool set;
    int64_t value;
};

struct opt_float {
    bool set;
    double value;
};

enum shape_kind {
    SHAPE_STR,
    SHAPE_BOOL,
    SHAPE_INT,
    SHAPE_FLOAT,
    SHAPE_ENUM,
    SHAPE_TIME_MINUTE,
    SHAPE_TIME_SECOND,
    SHAPE_OBJECT,
};

enum shape_flag {
    SHAPE_LIST = 1u << 0,     /* request: Name.N or Name.N.Field; reply: an array */
    SHAPE_REQUIRED = 1u << 1, /* request: MissingParameter when absent */
    SHAPE_OPT = 1u << 2,      /* the opt_ form (see above) */
    SHAPE_JSON = 1u << 3,     /* request: a list that arrives as the text of a JSON array in one parameter */
    SHAPE_OMIT = 1u << 4,     /* reply: left out when absent (without it: "", and lists are always there) */
    SHAPE_SECRET = 1u << 5,   /* never logged */
    SHAPE_FREE = 1u << 6,     /* request: empty text is a value (tag values, descriptions), not "absent" */
    SHAPE_NUMTEXT = 1u << 7,  /* request: an INT that some clients send as text with a fraction or quotes */
    SHAPE_REFUSED = 1u << 8,  /* request: any value but default_text (compared without case) fails with `error` */
    SHAPE_INSTANCE = 1u << 9, /* request: the id of an instance, or a list of them */
};

struct shape_field {
    const char *name; /* on the wire: "Instances" */
    const char *item; /* reply lists: the element's name, "Instance"; NULL: a plain array */
    enum shape_kind kind;
    unsigned flags;
    size_t offset;
    const struct shape *object;      /* SHAPE_OBJECT */
    const char *const *words;        /* SHAPE_ENUM, NULL-terminated; compared without case */
    const char *default_text;        /* request: decoded when absent; NULL: none */
    int64_t min;                     /* request INT: bounds of the value; both 0: none. STR: of the length in bytes */
    int64_t max;
    size_t max_items;                /* request lists; 0: LIMIT_LIST_ITEMS */
    int error;                       /* request: enum error_code for a bad value; 0: E_INVALID_PARAMETER */
    int too_many;                    /* request lists: enum error_code when over max_items; 0: as `error` */
    int missing;                     /* request: enum error_code when a required one is absent; 0: E_MISSING_PARAMETER */
};

struct shape {
    const char *name;
    size_t size;
    const struct shape_field *fields;
    size_t count;
};
