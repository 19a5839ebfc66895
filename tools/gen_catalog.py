#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/instance_types.tsv, regions.json, images.json -> catalog.h, catalog.c."""

import pathlib
import re

import apilib

COLUMNS = ("InstanceTypeId InstanceTypeFamily Generation InstanceFamilyLevel CpuCoreCount MemorySize_GiB LocalStorageAmount "
           "LocalStorageCapacity_GiB_each LocalStorageCategory Bandwidth_Gbps BurstBandwidth_Gbps Pps NicQueues EniQuantity "
           "PrivateIpPerEni GPU BaselinePerf CreditsPerHour MaxCredit PersistentMemory_GiB").split()
KBPS_PER_GBPS = 1024000
LANGUAGES = ("zh-CN", "en-US", "ja")
# How many cloud disks an instance takes: the system disk and sixteen more.
CLOUD_DISKS = 17

HEADER = """#pragma once

#include "gen/types.h"

struct instance_type {
    const char *id;                 /* "ecs.g6.large" */
    const char *family;             /* "ecs.g6" */
    const char *generation;         /* "ecs-5"; "" when not known */
    const char *level;              /* "EnterpriseLevel" */
    int64_t vcpus;
    int64_t memory_mib;
    int64_t local_disk_count;       /* 0: none */
    int64_t local_disk_gib;         /* each */
    int local_disk_category;        /* enum disk_category; -1: none */
    int64_t bandwidth_kbps;         /* each way; 0: not published */
    int64_t burst_kbps;             /* 0: none */
    int64_t pps;
    int64_t nic_queues;
    int64_t eni_count;
    int64_t ips_per_eni;
    int64_t gpu_count;
    const char *gpu_spec;           /* "NVIDIA T4"; a share of one: "NVIDIA T4/4" */
    int64_t baseline_percent;       /* burstable types; 0: not one */
    int64_t credits_per_hour;
    int64_t max_credit;
    int64_t persistent_memory_mib;  /* 0: none */
    int64_t cloud_disk_count;       /* how many it takes */
};
extern const struct instance_type instance_types[]; /* sorted by id, byte by byte */
extern const size_t instance_type_count;
/* NULL when there is none. */
const struct instance_type *instance_type_find(struct str id);

struct instance_family {
    const char *id;
    const char *generation;
};
extern const struct instance_family instance_families[]; /* sorted by id */
extern const size_t instance_family_count;

struct catalog_zone {
    const char *id;
    const char *local_name[ACCEPT_LANGUAGE_COUNT]; /* by enum accept_language */
};

struct catalog_region {
    const char *id;
    const char *endpoint;
    const char *local_name[ACCEPT_LANGUAGE_COUNT];
    const struct catalog_zone *zones;
    size_t zone_count;
};
extern const struct catalog_region catalog_regions[];
extern const size_t catalog_region_count;
const struct catalog_region *catalog_region_find(struct str id);
/* NULL when the region has no such zone. */
const struct catalog_zone *catalog_zone_find(const struct catalog_region *region, struct str id);

struct catalog_image {
    const char *id;
    const char *family;
    const char *version;
    const char *architecture;
    const char *os_type;    /* linux, windows */
    const char *platform;
    const char *os_name;    /* Chinese */
    const char *os_name_en;
    const char *boot_mode;
    int64_t size_gib;
    usec_t created_us;
    bool cloud_init;
    bool login_as_non_root;
};
extern const struct catalog_image catalog_images[];
extern const size_t catalog_image_count;
const struct catalog_image *catalog_image_find(struct str id);
/* The newest of a family; NULL when there is none. */
const struct catalog_image *catalog_image_newest(struct str family);
"""

SOURCE = """
const struct instance_type *instance_type_find(struct str id)
{
    size_t low = 0, high = countof(instance_types);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(id, str_from(instance_types[middle].id));

        if (order == 0)
            return &instance_types[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct catalog_region *catalog_region_find(struct str id)
{
    for (size_t i = 0; i < countof(catalog_regions); i++)
        if (str_eq(id, str_from(catalog_regions[i].id)))
            return &catalog_regions[i];
    return NULL;
}

const struct catalog_zone *catalog_zone_find(const struct catalog_region *region, struct str id)
{
    assert(region);
    for (size_t i = 0; i < region->zone_count; i++)
        if (str_eq(id, str_from(region->zones[i].id)))
            return &region->zones[i];
    return NULL;
}

const struct catalog_image *catalog_image_find(struct str id)
{
    for (size_t i = 0; i < countof(catalog_images); i++)
        if (str_eq(id, str_from(catalog_images[i].id)))
            return &catalog_images[i];
    return NULL;
}

const struct catalog_image *catalog_image_newest(struct str family)
{
    const struct catalog_image *newest = NULL;

    for (size_t i = 0; i < countof(catalog_images); i++)
        if (str_eq(family, str_from(catalog_images[i].family)) &&
            (!newest || catalog_images[i].created_us > newest->created_us))
            newest = &catalog_images[i];
    return newest;
}
"""


def number(text, place, scale=1):
    """A non-negative decimal times `scale`, whole; "" is 0."""
    if text == "":
        return 0
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?%?", text):
        raise apilib.ApiError(f"{place}: {text!r} is not a number")
    value = float(text.rstrip("%")) * scale
    if abs(value - round(value)) > 1e-6:
        raise apilib.ApiError(f"{place}: {text!r} is not whole")
    return round(value)


def gpu(text, place):
    """"NVIDIA T4 × 1/4" -> (1, "NVIDIA T4/4")"""
    if text == "":
        return 0, ""
    match = re.fullmatch(r"(.+) × ([0-9]+)(?:/([0-9]+))?", text)
    if not match:
        raise apilib.ApiError(f"{place}: {text!r} is not a GPU")
    share = f"/{match.group(3)}" if match.group(3) else ""
    return int(match.group(2)), match.group(1) + share


def type_row(cells, types, place):
    """One struct instance_type."""
    row = dict(zip(COLUMNS, cells))
    category = row["LocalStorageCategory"]
    if category and category not in types.enums["disk_category"]:
        raise apilib.ApiError(f"{place}: there is no disk category {category!r}")
    if bool(category) != bool(row["LocalStorageAmount"]):
        raise apilib.ApiError(f"{place}: local disks need a number and a category")
    gpus, spec = gpu(row["GPU"], place)
    if number(row["CpuCoreCount"], place) < 1 or number(row["MemorySize_GiB"], place, 1024) < 1:
        raise apilib.ApiError(f"{place}: needs processors and memory")
    facts = [
        ("id", apilib.c_text(row["InstanceTypeId"])), ("family", apilib.c_text(row["InstanceTypeFamily"])),
        ("generation", apilib.c_text(row["Generation"])), ("level", apilib.c_text(row["InstanceFamilyLevel"])),
        ("vcpus", number(row["CpuCoreCount"], place)), ("memory_mib", number(row["MemorySize_GiB"], place, 1024)),
        ("local_disk_count", number(row["LocalStorageAmount"], place)),
        ("local_disk_gib", number(row["LocalStorageCapacity_GiB_each"], place)),
        ("local_disk_category", apilib.constant("disk_category", category) if category else -1),
        ("bandwidth_kbps", number(row["Bandwidth_Gbps"], place, KBPS_PER_GBPS)),
        ("burst_kbps", number(row["BurstBandwidth_Gbps"], place, KBPS_PER_GBPS)), ("pps", number(row["Pps"], place)),
        ("nic_queues", number(row["NicQueues"], place)), ("eni_count", number(row["EniQuantity"], place)),
        ("ips_per_eni", number(row["PrivateIpPerEni"], place)), ("gpu_count", gpus), ("gpu_spec", apilib.c_text(spec)),
        ("baseline_percent", number(row["BaselinePerf"], place)), ("credits_per_hour", number(row["CreditsPerHour"], place)),
        ("max_credit", number(row["MaxCredit"], place)),
        ("persistent_memory_mib", number(row["PersistentMemory_GiB"], place, 1024)), ("cloud_disk_count", CLOUD_DISKS),
    ]
    return "    {" + ", ".join(f".{name} = {value}" for name, value in facts if value not in (0, "0")) + "},\n"


def load_rows(api):
    """The lines of the table as cells, checked for order."""
    lines = (pathlib.Path(api) / "instance_types.tsv").read_text(encoding="utf-8").splitlines()
    if lines[0].split("\t") != COLUMNS:
        raise apilib.ApiError("instance_types.tsv: other columns than expected")
    rows = [line.split("\t") for line in lines[1:]]
    for index, cells in enumerate(rows):
        place = f"instance_types.tsv:{index + 2}"
        if len(cells) != len(COLUMNS):
            raise apilib.ApiError(f"{place}: {len(cells)} columns, expected {len(COLUMNS)}")
        if not re.fullmatch(r"ecs\.[a-z0-9.-]+", cells[0]) or not re.fullmatch(r"ecs\.[a-z0-9-]+", cells[1]):
            raise apilib.ApiError(f"{place}: {cells[0]!r} is not a type")
        if index and rows[index - 1][0].encode() >= cells[0].encode():
            raise apilib.ApiError(f"{place}: types are sorted, each once")
    return rows


def types_text(api, types):
    """Types and families."""
    rows = load_rows(api)
    text = "\nconst struct instance_type instance_types[] = {\n"
    text += "".join(type_row(cells, types, f"instance_types.tsv: {cells[0]}") for cells in rows)
    text += "};\nconst size_t instance_type_count = countof(instance_types);\n"
    families = {}
    for cells in rows:
        if families.setdefault(cells[1], cells[2]) != cells[2]:
            raise apilib.ApiError(f"instance_types.tsv: {cells[1]} has two generations")
    text += "\nconst struct instance_family instance_families[] = {\n"
    text += "".join(f"    {{{apilib.c_text(name)}, {apilib.c_text(families[name])}}},\n" for name in sorted(families))
    return text + "};\nconst size_t instance_family_count = countof(instance_families);\n"


def _names(entry):
    return "{" + ", ".join(apilib.c_text(entry[language]) for language in LANGUAGES) + "}"


def load_regions(api):
    """regions.json, checked."""
    regions, seen = apilib.load_json(pathlib.Path(api) / "regions.json"), set()
    for region in apilib.check_type(regions, list, "regions.json"):
        known = ("id", "endpoint", "zones") + LANGUAGES
        apilib.check_members(region, known, known, "regions.json")
        if not region["zones"]:
            raise apilib.ApiError(f"regions.json: {region['id']} has no zones")
        for entry in [region] + region["zones"]:
            if entry is not region:
                apilib.check_members(entry, ("id",) + LANGUAGES, ("id",) + LANGUAGES, f"regions.json: {region['id']}")
            if entry["id"] in seen or not entry["id"].startswith(region["id"]):
                raise apilib.ApiError(f"regions.json: {entry['id']} stands twice, or is not of {region['id']}")
            seen.add(entry["id"])
    return regions


def regions_text(api, types):
    """Regions and their zones."""
    if tuple(types.enums["accept_language"]) != LANGUAGES:
        raise apilib.ApiError("types.json: accept_language has other words than regions.json")
    regions = load_regions(api)
    text = ""
    for region in regions:
        text += f"\nstatic const struct catalog_zone zones_{apilib.snake(region['id'])}[] = {{\n"
        text += "".join(f"    {{{apilib.c_text(zone['id'])}, {_names(zone)}}},\n" for zone in region["zones"]) + "};\n"
    text += "\nconst struct catalog_region catalog_regions[] = {\n"
    for region in regions:
        zones = f"zones_{apilib.snake(region['id'])}"
        text += (f"    {{{apilib.c_text(region['id'])}, {apilib.c_text(region['endpoint'])},\n"
                 f"        {_names(region)},\n        {zones}, countof({zones})}},\n")
    return text + "};\nconst size_t catalog_region_count = countof(catalog_regions);\n"


IMAGE = {"id": str, "family": str, "version": str, "architecture": str, "os_type": str, "platform": str, "os_name": str,
         "os_name_en": str, "boot_mode": str, "size_gib": int, "created": str, "cloud_init": bool,
         "login_as_non_root": bool}


def image_row(image, types):
    """One struct catalog_image."""
    place = f"images.json: {image.get('id')}"
    apilib.check_members(image, IMAGE, IMAGE, place)
    cells = []
    for name, kind in IMAGE.items():
        value = apilib.check_type(image[name], kind, f"{place}.{name}")
        if name == "created":
            cells.append(f".created_us = {apilib.usec_of(value, place)}")
        elif kind is str:
            cells.append(f".{name} = {apilib.c_text(value)}")
        else:
            cells.append(f".{name} = {str(value).lower()}")
    if image["os_type"] not in types.enums["os_type"] or image["architecture"] not in types.enums["architecture"]:
        raise apilib.ApiError(f"{place}: os_type or architecture is not known")
    return "    {" + ", ".join(cells) + "},\n"


def images_text(api, types):
    """The public images."""
    images = apilib.check_type(apilib.load_json(pathlib.Path(api) / "images.json"), list, "images.json")
    if len({image.get("id") for image in images}) != len(images):
        raise apilib.ApiError("images.json: an id stands twice")
    text = "\nconst struct catalog_image catalog_images[] = {\n" + "".join(image_row(image, types) for image in images)
    return text + "};\nconst size_t catalog_image_count = countof(catalog_images);\n"


def generate(api, out):
    """Called by the command line and by the tests."""
    types = apilib.load_types(api)
    made_by = apilib.MADE_BY.format(tool="gen_catalog.py")
    body = types_text(api, types) + regions_text(api, types) + images_text(api, types)
    apilib.write_text(out, "catalog.h", made_by + HEADER)
    apilib.write_text(out, "catalog.c", made_by + '#include "gen/catalog.h"\n' + body + SOURCE)


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
