/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transition → who makes it → what is true of the file:
 *
 *   none     → ARRIVING   Admin.ImportImage   not there; whoever brings it knows the id now
 *   ARRIVING → READY      Admin.AdoptImage    complete, synced, in its place
 *   ARRIVING → LEAVING    Admin.RetireImage   perhaps there, nobody uses it
 *   READY    → LEAVING    Admin.RetireImage   there, no disk is made of it and none will be
 *   LEAVING  → none       Admin.RemoveImage   gone
 *
 * A crash between two of these leaves a row that counts for nothing: importing or removing again
 * goes on from it.
 */
#include "model/image.h"

#include "gen/types.h"

static const struct sm_state image_states[] = {
    [IMAGE_STATE_ARRIVING] = {"arriving", SM_MAY(IMAGE_STATE_READY) | SM_MAY(IMAGE_STATE_LEAVING),
                              0},
    [IMAGE_STATE_READY] = {"ready", SM_MAY(IMAGE_STATE_LEAVING), SM_STABLE},
    [IMAGE_STATE_LEAVING] = {"leaving", 0, 0},
};
static_assert(countof(image_states) == IMAGE_STATE_COUNT, "every state has a row");

const struct sm image_sm = {"image", image_states, countof(image_states)};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool image_id_valid(struct str id)
{
    if (id.len < 2 || id.len > IMAGE_ID_MAX || !is_alnum(id.ptr[0]) ||
        str_ends(id, STR(IMAGE_PARTIAL)))
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!is_alnum(id.ptr[i]) && !memchr("._-", id.ptr[i], 3))
            return false;
    return true;
}
