/* SPDX-License-Identifier: Apache-2.0 */
/* Admin: imported images. Whoever brings the file (ecsctl) tells of it before, when it is in place,
 * and when it is to go: no byte of it passes through here. */
#include "actions/admin.h"
#include "actions/image.h"
#include "model/name.h"

#define PLATFORM_LINUX STR("Others Linux")
#define PLATFORM_WINDOWS STR("Windows Server")

static int imported(struct action *act, struct str id, struct image **ret)
{
    int r = store_image_get(act->tx, id, ret);

    return r == -E_NOT_FOUND ? fail(act->fail, E_ADMIN_IMAGE_NOT_FOUND, id) : action_failed(act, r);
}

/* A disk reads what it never wrote from the file of its image: under it no file may come or go. */
static int check_unused(struct action *act, struct str id)
{
    struct str disk_id = STR_NONE;
    int r = store_image_disk(act->tx, id, &disk_id);

    if (r < 0)
        return action_failed(act, r);
    return disk_id.ptr ? fail(act->fail, E_ADMIN_IMAGE_IN_USE, disk_id, id) : 0;
}

static int image_event(struct action *act, const struct image *image, const char *what)
{
    return admin_event(act, EVENT_KIND_IMAGE, image->account_id, STR_NONE,
                       arena_printf(act->arena, "image %.*s %s", STR_ARG(image->id), what));
}

/* Texts are copied: a reply to a write is read after its transaction is over. */
static struct image_admin image_admin_of(struct action *act, const struct image *image,
                                         bool is_import)
{
    struct arena *arena = act->arena;

    return (struct image_admin){
        .image_id = arena_str(arena, image->id),
        .image_name = arena_str(arena, image->name),
        .account_id = arena_str(arena, image->account_id),
        .state = image->state,
        .usable = image->state == IMAGE_STATE_READY && image_has_file(act, image->id),
        .imported = is_import,
        .format = is_import ? image->format : -1,
        .size_gib = image->size_gib,
        .direct_boot = image->direct_boot,
        .os_type = arena_str(arena, image->os_type),
        .os_name = arena_str(arena, image->os_name_en),
        .platform = arena_str(arena, image->platform),
        .boot_mode = arena_str(arena, image->boot_mode),
        .cloud_init = image->cloud_init,
        .image_family = arena_str(arena, image->family),
        .creation_time = image->created_us,
    };
}

/* ── import ── */

static int check_import(struct action *act, const struct admin_import_image_request *req)
{
    struct account *account;

    if (!str_empty(req->image_id) && !image_id_valid(req->image_id))
        return fail(act->fail, E_INVALID_PARAMETER, STR("ImageId"));
    if (!str_empty(req->name) && !name_valid(req->name))
        return fail(act->fail, E_IMAGE_NAME);
    if (!str_empty(req->description) && !description_valid(req->description))
        return fail(act->fail, E_DESCRIPTION);
    if (str_empty(req->account_id))
        return 0;
    if (catalog_image_find(req->image_id))
        return fail(act->fail, E_ADMIN_IMAGE_PUBLIC, req->image_id);
    return admin_account(act, req->account_id, &account);
}

/* What an image is when nobody says more of it. */
static struct image plain_image(struct action *act, const struct admin_import_image_request *req)
{
    bool windows = req->os_type == OS_TYPE_WINDOWS;
    struct str id = str_empty(req->image_id) ? env_id(act->env, act->arena, "m-") : req->image_id;
    struct str platform = windows ? PLATFORM_WINDOWS : PLATFORM_LINUX;

    if (!str_empty(req->platform))
        platform = req->platform;
    return (struct image){
        .id = id,
        .name = id,
        .description = STR(""),
        .os_name = platform,
        .os_name_en = platform,
        .os_type = str_from(os_type_text(windows ? OS_TYPE_WINDOWS : OS_TYPE_LINUX)),
        .architecture = str_from(architecture_text(ARCHITECTURE_X86_64)),
        .boot_mode = str_from(boot_mode_text(BOOT_MODE_BIOS)),
        .platform = platform,
        .cloud_init = true,
        .created_us = act->now,
    };
}

static struct str or_else(struct str given, struct str otherwise)
{
    return str_empty(given) ? otherwise : given;
}

static struct image asked_image(struct action *act, const struct admin_import_image_request *req)
{
    const struct catalog_image *known = catalog_image_find(req->image_id);
    struct image image = known ? image_of_catalog(known) : plain_image(act, req);

    image.account_id = str_empty(req->account_id) ? STR_NONE : req->account_id;
    image.name = or_else(req->name, image.name);
    image.family = or_else(req->family, image.family);
    image.description = or_else(req->description, image.description);
    image.platform = or_else(req->platform, image.platform);
    image.os_name = or_else(req->os_name, image.os_name);
    image.os_name_en = or_else(req->os_name, image.os_name_en);
    if (req->os_type >= 0)
        image.os_type = str_from(os_type_text((enum os_type)req->os_type));
    if (req->boot_mode >= 0)
        image.boot_mode = str_from(boot_mode_text((enum boot_mode)req->boot_mode));
    if (req->cloud_init.set)
        image.cloud_init = req->cloud_init.value;
    image.state = IMAGE_STATE_ARRIVING;
    image.format = req->file_format;
    image.size_gib = req->size_gib;
    image.direct_boot = req->direct_boot;
    return image;
}

/* A row that still arrives is of an import that died: it is begun anew. */
static int put_arriving(struct action *act, const struct image *image)
{
    struct image *rows, *before = NULL;
    size_t count = 0;
    int r = store_image_get(act->tx, image->id, &before);

    if (r == 0)
        return before->state == IMAGE_STATE_ARRIVING
                   ? action_failed(act, store_image_save(act->tx, image))
                   : fail(act->fail, E_ADMIN_IMAGE_EXISTS, image->id);
    if (r == -E_NOT_FOUND)
        r = store_image_list(act->tx, &rows, &count);
    if (r < 0)
        return action_failed(act, r);
    if (count >= LIMIT_IMAGES)
        return fail(act->fail, E_ADMIN_IMAGE_QUOTA);
    return action_failed(act, store_image_insert(act->tx, image));
}

int admin_import_image(struct action *act, const struct admin_import_image_request *req,
                       struct admin_import_image_reply *reply)
{
    struct image image;
    int r = check_import(act, req);

    if (r < 0)
        return r;
    image = asked_image(act, req);
    r = check_unused(act, image.id);
    if (r == 0)
        r = put_arriving(act, &image);
    if (r == 0)
        reply->image = image_admin_of(act, &image, true);
    return r;
}

int admin_adopt_image(struct action *act, const struct admin_adopt_image_request *req,
                      struct admin_adopt_image_reply *reply)
{
    struct image *image;
    int r = imported(act, req->image_id, &image);

    if (r < 0)
        return r;
    if (image->state != IMAGE_STATE_READY) {
        if (!sm_may(&image_sm, image->state, IMAGE_STATE_READY))
            return fail(act->fail, E_ADMIN_IMAGE_STATE, image->id,
                        str_from(sm_name(&image_sm, image->state)));
        if (!image_has_file(act, image->id))
            return fail(act->fail, E_ADMIN_IMAGE_NO_FILE, image->id);
        sm_move(&image_sm, &image->state, IMAGE_STATE_READY);
        r = store_image_save(act->tx, image);
        if (r == 0)
            r = image_event(act, image, "imported");
    }
    if (r < 0)
        return action_failed(act, r);
    reply->image = image_admin_of(act, image, true);
    return 0;
}

/* ── remove ── */

int admin_retire_image(struct action *act, const struct admin_retire_image_request *req,
                       struct admin_retire_image_reply *reply)
{
    struct image *image;
    int r = imported(act, req->image_id, &image);

    (void)reply;
    if (r < 0 || image->state == IMAGE_STATE_LEAVING)
        return r;
    r = check_unused(act, image->id);
    if (r < 0)
        return r;
    sm_move(&image_sm, &image->state, IMAGE_STATE_LEAVING);
    r = store_image_save(act->tx, image);
    return r < 0 ? action_failed(act, r) : image_event(act, image, "retired");
}

int admin_remove_image(struct action *act, const struct admin_remove_image_request *req,
                       struct admin_remove_image_reply *reply)
{
    struct image *image;
    int r = imported(act, req->image_id, &image);

    (void)reply;
    if (r < 0)
        return r;
    if (image->state != IMAGE_STATE_LEAVING)
        return fail(act->fail, E_ADMIN_IMAGE_STATE, image->id,
                    str_from(sm_name(&image_sm, image->state)));
    r = store_image_delete(act->tx, image->id);
    return r < 0 ? action_failed(act, r) : image_event(act, image, "removed");
}

/* ── list ── */

int admin_list_images(struct action *act, const struct admin_list_images_request *req,
                      struct admin_list_images_reply *reply)
{
    struct image *rows;
    size_t count;
    int r = store_image_list(act->tx, &rows, &count);

    (void)req;
    if (r < 0)
        return action_failed(act, r);
    reply->images.items = arena_array(act->arena, struct image_admin, catalog_image_count + count);
    for (size_t i = 0; i < count; i++)
        reply->images.items[reply->images.count++] = image_admin_of(act, &rows[i], true);
    for (size_t i = 0; i < catalog_image_count; i++) {
        struct image image = image_of_catalog(&catalog_images[i]);

        if (!image_has_row(rows, count, image.id))
            reply->images.items[reply->images.count++] = image_admin_of(act, &image, false);
    }
    return 0;
}
