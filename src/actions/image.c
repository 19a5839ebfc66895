/* SPDX-License-Identifier: Apache-2.0 */
/* Which images an account may use. */
#include "actions/image.h"

struct image image_of_catalog(const struct catalog_image *from)
{
    return (struct image){
        .id = str_from(from->id),
        .name = str_from(from->id),
        .family = str_from(from->family),
        .version = str_from(from->version),
        .description = STR(""),
        .os_name = str_from(from->os_name),
        .os_name_en = str_from(from->os_name_en),
        .os_type = str_from(from->os_type),
        .platform = str_from(from->platform),
        .architecture = str_from(from->architecture),
        .boot_mode = str_from(from->boot_mode),
        .state = IMAGE_STATE_READY,
        .format = IMAGE_FORMAT_QCOW2,
        .size_gib = from->size_gib,
        .cloud_init = from->cloud_init,
        .login_as_non_root = from->login_as_non_root,
        .created_us = from->created_us,
    };
}

bool image_has_file(const struct action *act, struct str id)
{
    struct hypervisor *hv = engine_hypervisor(act->engine);

    return hv->ops->has_image(hv, id);
}

static bool may_use(const struct action *act, const struct image *image)
{
    if (image->state != IMAGE_STATE_READY)
        return false;
    if (image->account_id.ptr && !str_eq(image->account_id, act->account->id))
        return false;
    return image_has_file(act, image->id);
}

int action_image(struct action *act, struct str id, struct image **ret)
{
    const struct catalog_image *known = catalog_image_find(id);
    struct image *image = NULL;
    int r = store_image_get(act->tx, id, &image);

    if (r == -E_NOT_FOUND && known) {
        image = arena_new(act->arena, struct image);
        *image = image_of_catalog(known);
        r = 0;
    }
    if (r == -E_NOT_FOUND || (r == 0 && !may_use(act, image)))
        return fail(act->fail, E_IMAGE_NOT_FOUND);
    if (r < 0)
        return action_failed(act, r);
    *ret = image;
    return 0;
}

bool image_has_row(const struct image *rows, size_t count, struct str id)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(rows[i].id, id))
            return true;
    return false;
}

int action_images(struct action *act, struct image_list *ret)
{
    struct image_list list = {NULL, 0};
    struct image *rows;
    size_t count;
    int r = store_image_list(act->tx, &rows, &count);

    if (r < 0)
        return action_failed(act, r);
    list.items = arena_array(act->arena, struct image, catalog_image_count + count);
    for (size_t i = 0; i < catalog_image_count; i++) {
        struct image image = image_of_catalog(&catalog_images[i]);

        if (!image_has_row(rows, count, image.id) && may_use(act, &image))
            list.items[list.count++] = image;
    }
    for (size_t i = 0; i < count; i++)
        if (may_use(act, &rows[i]))
            list.items[list.count++] = rows[i];
    *ret = list;
    return 0;
}

int action_image_newest(struct action *act, struct str family, struct image **ret)
{
    struct image_list list = {NULL, 0};
    struct image *newest = NULL;
    int r = action_images(act, &list);

    if (r < 0)
        return r;
    for (size_t i = 0; i < list.count; i++)
        if (str_eq(list.items[i].family, family) &&
            (!newest || list.items[i].created_us > newest->created_us))
            newest = &list.items[i];
    if (!newest)
        return fail(act->fail, E_IMAGE_FAMILY_NOT_FOUND);
    *ret = newest;
    return 0;
}
