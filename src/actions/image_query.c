/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeImages: the public images of the catalogue. */
#include "actions/common.h"

#define PAGE_DEFAULT 10

struct image_filter {
    usec_t created_from_us, created_until_us;
};

static int take_filters(struct action *act, const struct filter_pair_list *pairs,
                        struct image_filter *filter)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const struct filter_pair *pair = &pairs->items[i];
        usec_t *bound = str_eq(pair->key, STR("CreationStartTime")) ? &filter->created_from_us
                        : str_eq(pair->key, STR("CreationEndTime")) ? &filter->created_until_us
                                                                    : NULL;
        if (!bound)
            return fail(act->fail, E_FILTER_KEY);
        if (time_parse(pair->value, bound) < 0)
            return fail(act->fail, E_FILTER_VALUE);
    }
    return 0;
}

/* ImageId holds one id or several with commas between. */
static bool id_listed(struct str list, struct str id)
{
    struct str one, rest = list;
    bool more;

    do {
        more = str_split(rest, ',', &one, &rest);
        if (str_eq(str_trim(one), id))
            return true;
    } while (more);
    return false;
}

/* What no image here is: one's own, somebody else's, private, of a snapshot, in a group, tagged. */
static bool asks_for_nothing(const struct describe_images_request *req)
{
    return (req->image_owner_alias >= 0 && req->image_owner_alias != IMAGE_OWNER_SYSTEM) ||
           req->image_owner_id.set || (req->is_public.set && !req->is_public.value) ||
           req->usage == IMAGE_USAGE_INSTANCE || !str_empty(req->snapshot_id) ||
           !str_empty(req->resource_group_id) || req->tag.count > 0 ||
           (req->is_support_io_optimized.set && !req->is_support_io_optimized.value);
}

/* Status may name several, with commas; all images are Available, which is also the default. */
static bool status_matches(struct str status)
{
    return str_empty(status) || id_listed(status, STR("Available"));
}

static bool image_matches(const struct catalog_image *image,
                          const struct describe_images_request *req,
                          const struct image_filter *filter)
{
    struct str id = str_from(image->id);

    if (!str_empty(req->image_id) && !id_listed(req->image_id, id))
        return false;
    if (!str_empty(req->image_family) && !str_eq(req->image_family, str_from(image->family)))
        return false;
    if (!str_empty(req->image_name) && !str_glob(req->image_name, id, false))
        return false;
    if (req->architecture >= 0 &&
        !str_eq(str_from(architecture_words[req->architecture]), str_from(image->architecture)))
        return false;
    if (req->os_type >= 0 &&
        !str_eq(str_from(os_type_words[req->os_type]), str_from(image->os_type)))
        return false;
    if (req->is_support_cloudinit.set && req->is_support_cloudinit.value != image->cloud_init)
        return false;
    return image->created_us >= filter->created_from_us &&
           (filter->created_until_us == 0 || image->created_us <= filter->created_until_us);
}

static struct describe_images_image image_view(struct arena *arena,
                                               const struct catalog_image *image)
{
    struct describe_images_image_disk_device_mapping *disk =
        arena_new(arena, struct describe_images_image_disk_device_mapping);

    *disk = (struct describe_images_image_disk_device_mapping){
        .device = STR("/dev/xvda"),
        .size = arena_printf(arena, "%lld", (long long)image->size_gib),
        .type = STR("system"),
    };
    return (struct describe_images_image){
        .image_id = str_from(image->id),
        .image_name = str_from(image->id),
        .image_family = str_from(image->family),
        .image_version = str_from(image->version),
        .image_owner_alias = STR("system"),
        .description = STR(""),
        .architecture = str_from(image->architecture),
        .os_name = str_from(image->os_name),
        .os_name_en = str_from(image->os_name_en),
        .os_type = str_from(image->os_type),
        .platform = str_from(image->platform),
        .boot_mode = str_from(image->boot_mode),
        .size = image->size_gib,
        .status = STR("Available"),
        .usage = STR("none"),
        .progress = STR("100%"),
        .creation_time = image->created_us,
        .is_public = true,
        .is_support_cloudinit = image->cloud_init,
        .is_support_io_optimized = true,
        .login_as_non_root_supported = image->login_as_non_root,
        .disk_device_mappings = {disk, 1},
    };
}

int describe_images(struct action *act, const struct describe_images_request *req,
                    struct describe_images_reply *reply)
{
    struct page_ask ask =
        page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, LIMIT_PAGE_SIZE);
    const struct catalog_region *region;
    struct image_filter filter = {0};
    struct tag *tags; /* no image has any: only their form counts */
    size_t tag_count, matches = 0, first = (size_t)(ask.number - 1) * (size_t)ask.size;
    int r = action_region(act, req->region_id, &region);

    if (r == 0)
        r = action_tag_filter(act, &req->tag, &tags, &tag_count);
    if (r == 0)
        r = take_filters(act, &req->filter, &filter);
    if (r < 0)
        return r;
    if (!str_empty(req->instance_type) && !instance_type_find(req->instance_type))
        return fail(act->fail, E_INSTANCE_TYPE);
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    reply->images.items = arena_array(act->arena, struct describe_images_image, (size_t)ask.size);
    for (size_t i = 0;
         i < catalog_image_count && !asks_for_nothing(req) && status_matches(req->status); i++) {
        if (!image_matches(&catalog_images[i], req, &filter))
            continue;
        if (matches++ >= first && reply->images.count < (size_t)ask.size)
            reply->images.items[reply->images.count++] = image_view(act->arena, &catalog_images[i]);
    }
    reply->region_id = str_from(region->id);
    reply->total_count = (int64_t)matches;
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    return 0;
}
