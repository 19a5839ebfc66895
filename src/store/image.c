/* SPDX-License-Identifier: Apache-2.0 */
/* Imported images: few rows, read whole. */
#include "store/core.h"

static const struct column image_columns[] = {
    COLUMN(struct image, id),
    COLUMN(struct image, account_id),
    COLUMN(struct image, name),
    COLUMN(struct image, family),
    COLUMN(struct image, version),
    COLUMN(struct image, description),
    COLUMN(struct image, os_name),
    COLUMN(struct image, os_name_en),
    COLUMN(struct image, os_type),
    COLUMN(struct image, platform),
    COLUMN(struct image, architecture),
    COLUMN(struct image, boot_mode),
    COLUMN(struct image, state),
    COLUMN(struct image, format),
    COLUMN(struct image, size_gib),
    COLUMN(struct image, cloud_init),
    COLUMN(struct image, login_as_non_root),
    COLUMN(struct image, direct_boot),
    COLUMN(struct image, created_us),
};
static const struct table image_table = TABLE(struct image, image_columns);

int store_image_insert(struct tx *tx, const struct image *image)
{
    static const struct query query = {
        "INSERT INTO image ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &image_table};

    return rows_insert(tx, &query, image);
}

int store_image_get(struct tx *tx, struct str id, struct image **ret)
{
    static const struct query query = {"SELECT {c} FROM image WHERE id = $1", &image_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_image_save(struct tx *tx, const struct image *image)
{
    static const struct query query = {"UPDATE image SET {s} WHERE id = {1}", &image_table};
    int64_t changed = 0;
    int r = rows_save(tx, &query, image, ARGS(V_STR(image->id)), &changed);

    return r < 0 ? r : changed == 0 ? -E_NOT_FOUND : 0;
}

int store_image_delete(struct tx *tx, struct str id)
{
    static const struct query query = {"DELETE FROM image WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(id)));
}

int store_image_list(struct tx *tx, struct image **ret, size_t *ret_count)
{
    static const struct query query = {"SELECT {c} FROM image ORDER BY id", &image_table};

    return rows_all(tx, &query, NO_ARGS, ret, ret_count);
}

int store_image_disk(struct tx *tx, struct str id, struct str *ret)
{
    /* An instance's system disk is of its image; it may outlive the instance. */
    static const struct query query = {"SELECT id FROM disk WHERE image_id = $1 LIMIT 1", NULL};
    struct str_list disks;
    int r = rows_texts(tx, &query, ARGS(V_STR(id)), &disks);

    if (r == 0)
        *ret = disks.count > 0 ? disks.items[0] : STR_NONE;
    return r;
}
