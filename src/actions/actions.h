/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an action gets and gives. Handlers are declared in gen/actions.h, one per file in api/actions; each says what data
 * can't. They know neither HTTP nor JSON nor signatures. A handler of kind `read` gets a read-only snapshot, one of kind
 * `write` runs in the writer's transaction: whatever it wrote goes back when it returns an error.
 */
#pragma once

#include "engine/engine.h"
#include "gen/actions.h"
#include "model/command.h"

struct action {
    const struct action_row *row;
    struct tx *tx;
    struct engine *engine;
    struct env *env;
    const struct options *options;
    struct arena *arena;          /* dies with the call: the reply may point into it */
    const struct account *account;
    const struct access_key *key; /* who signed; NULL: the operator */
    struct str request_id;
    struct str endpoint;          /* host:port that the caller used, for Location and regions */
    struct str source_ip;
    usec_t now;
    bool (*policy_valid)(struct str document); /* is it a RAM policy? */
    /* The members of a JSON object of texts. -E_INVALID: it is none; -E_EXISTS: a name stands twice. */
    int (*read_map)(struct arena *arena, struct str text, struct text_pair_list *ret);
    struct fail *fail;
};
