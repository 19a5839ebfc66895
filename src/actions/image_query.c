/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeImages: the public images, and the account's own. */
#include "actions/image.h"

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

/* What no image here is: somebody else's, of a snapshot, in a group, tagged. */
static bool asks_for_nothing(const struct describe_images_request *req)
{
    return (req->image_owner_alias >= 0 && req->image_owner_alias != IMAGE_OWNER_SYSTEM &&
            req->image_owner_alias != IMAGE_OWNER_SELF) ||
           !str_empty(req->snapshot_id) || !str_empty(req->resource_group_id) ||
           req->tag.count > 0 ||
           (req->is_support_io_optimized.set && !req->is_support_io_optimized.value);
}

/* Status may name several, with commas; all images are Available, which is also the default. */
static bool status_matches(struct str status)
{
    return str_empty(status) || id_listed(status, STR("Available"));
}

static bool owner_matches(const struct image *image, const struct describe_images_request *req)
{
    bool own = image->account_id.ptr != NULL;
    char digits[I64_TEXT_MAX];

    if (req->image_owner_alias >= 0 && own != (req->image_owner_alias == IMAGE_OWNER_SELF))
        return false;
    if (req->is_public.set && req->is_public.value == own)
        return false;
    return !req->image_owner_id.set ||
           (own && str_eq(image->account_id, str_print_i64(req->image_owner_id.value, digits)));
}

static bool system_matches(const struct image *image, const struct describe_images_request *req)
{
    if (req->architecture >= 0 &&
        !str_eq(str_from(architecture_words[req->architecture]), image->architecture))
        return false;
    if (req->os_type >= 0 && !str_eq(str_from(os_type_words[req->os_type]), image->os_type))
        return false;
    return !req->is_support_cloudinit.set || req->is_support_cloudinit.value == image->cloud_init;
}

static bool image_matches(const struct image *image, const struct describe_images_request *req,
                          const struct image_filter *filter)
{
    if (!owner_matches(image, req) || !system_matches(image, req))
        return false;
    if (!str_empty(req->image_id) && !id_listed(req->image_id, image->id))
        return false;
    if (!str_empty(req->image_family) && !str_eq(req->image_family, image->family))
        return false;
    if (!str_empty(req->image_name) && !str_glob(req->image_name, image->name, false))
        return false;
    return image->created_us >= filter->created_from_us &&
           (filter->created_until_us == 0 || image->created_us <= filter->created_until_us);
}

/* Accounts are numbers; the system is none. */
static struct opt_int owner_number(const struct image *image)
{
    struct opt_int number = {false, 0};

    number.set = image->account_id.ptr && str_to_i64(image->account_id, &number.value) == 0;
    return number;
}

/* Texts of a row live as long as the snapshot that the reply is made of. */
static struct describe_images_image image_view(struct arena *arena, const struct image *image,
                                               enum image_usage usage)
{
    struct describe_images_image_disk_device_mapping *disk =
        arena_new(arena, struct describe_images_image_disk_device_mapping);

    *disk = (struct describe_images_image_disk_device_mapping){
        .device = STR("/dev/xvda"),
        .size = arena_printf(arena, "%lld", (long long)image->size_gib),
        .type = STR("system"),
    };
    return (struct describe_images_image){
        .image_id = image->id,
        .image_name = image->name,
        .image_family = image->family,
        .image_version = image->version,
        .image_owner_alias = str_from(
            image_owner_text(image->account_id.ptr ? IMAGE_OWNER_SELF : IMAGE_OWNER_SYSTEM)),
        .image_owner_id = owner_number(image),
        .description = image->description,
        .architecture = image->architecture,
        .os_name = image->os_name,
        .os_name_en = image->os_name_en,
        .os_type = image->os_type,
        .platform = image->platform,
        .boot_mode = image->boot_mode,
        .size = image->size_gib,
        .status = STR("Available"),
        .usage = str_from(image_usage_text(usage)),
        .progress = STR("100%"),
        .creation_time = image->created_us,
        .is_public = !image->account_id.ptr,
        .is_support_cloudinit = image->cloud_init,
        .is_support_io_optimized = true,
        .login_as_non_root_supported = image->login_as_non_root,
        .disk_device_mappings = {disk, 1},
    };
}

/* Whether instances or disks are of the image: told of one's own only, others' use is nobody's
 * business. */
static int image_usage_of(struct action *act, const struct image *image, enum image_usage *ret)
{
    struct str disk_id = STR_NONE;
    int r = image->account_id.ptr ? store_image_disk(act->tx, image->id, &disk_id) : 0;

    if (r < 0)
        return action_failed(act, r);
    *ret = disk_id.ptr ? IMAGE_USAGE_INSTANCE : IMAGE_USAGE_NONE;
    return 0;
}

/* The page's part of what matches goes into the reply, all of it is counted. */
static int add_matches(struct action *act, const struct describe_images_request *req,
                       const struct image_filter *filter, const struct page_ask *ask,
                       struct describe_images_reply *reply)
{
    size_t first = (size_t)(ask->number - 1) * (size_t)ask->size, matches = 0;
    struct image_list list = {NULL, 0};
    int r = action_images(act, &list);

    for (size_t i = 0; i < list.count && r == 0; i++) {
        const struct image *image = &list.items[i];
        enum image_usage usage = IMAGE_USAGE_NONE;

        if (!image_matches(image, req, filter))
            continue;
        r = image_usage_of(act, image, &usage);
        if (r < 0 || (req->usage >= 0 && req->usage != (int)usage))
            continue;
        if (matches++ >= first && reply->images.count < (size_t)ask->size)
            reply->images.items[reply->images.count++] = image_view(act->arena, image, usage);
    }
    reply->total_count = (int64_t)matches;
    return r;
}

int describe_images(struct action *act, const struct describe_images_request *req,
                    struct describe_images_reply *reply)
{
    struct page_ask ask =
        page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, LIMIT_PAGE_SIZE);
    const struct catalog_region *region;
    struct image_filter filter = {0};
    struct tag *tags; /* no image has any: only their form counts */
    size_t tag_count;
    int r = action_region(act, req->region_id, &region);

    if (r >= 0)
        r = action_tag_filter(act, &req->tag, &tags, &tag_count);
    if (r >= 0)
        r = take_filters(act, &req->filter, &filter);
    if (r < 0)
        return r;
    if (!str_empty(req->instance_type) && !instance_type_find(req->instance_type))
        return fail(act->fail, E_INSTANCE_TYPE);
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    reply->images.items = arena_array(act->arena, struct describe_images_image, (size_t)ask.size);
    reply->region_id = str_from(region->id);
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    if (asks_for_nothing(req) || !status_matches(req->status))
        return 0;
    return add_matches(act, req, &filter, &ask, reply);
}
