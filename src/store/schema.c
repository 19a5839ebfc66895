/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables, as numbered migrations: a number is applied once and never changed afterwards. All
 * that are missing are applied in one transaction.
 *
 * {key} is a 64-bit primary key, {bytes} the type of bytes, {text} that of texts which may be no UTF-8, {compact} the clause of a table that is
 * its own primary index; each driver has its words. Times are microseconds since 1970 UTC, enums
 * their number in api/types.json, booleans 0 and 1, absent texts NULL.
 */
#include "base/buf.h"
#include "store/core.h"

#define MIGRATION_TEXT_BYTES (64u * 1024)

/* Numbers of states stand in partial indices below. */
static_assert(JOB_STATE_ACTIVE == 0 && DISK_STATUS_IN_USE == 0 && HOST_STATE_UP == 0, "schema");

/*
 * `instance` holds what changes with each state, `instance_doc` the rest: a stop rewrites 150
 * bytes, not 1,500. Ids sort by creation, so that every index that ends in id gives pages newest
 * first.
 */
static const char instance_tables[] =
    "CREATE TABLE instance (id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL, region_id TEXT "
    "NOT NULL,"
    " zone_id TEXT, state BIGINT NOT NULL, version BIGINT NOT NULL, incarnation BIGINT NOT NULL, "
    "job_id BIGINT NOT NULL,"
    " host_id TEXT, stopped_mode BIGINT NOT NULL, locks BIGINT NOT NULL, type_id TEXT, charge_type "
    "BIGINT NOT NULL,"
    " deletion_protection BIGINT NOT NULL, reinit_local BIGINT NOT NULL, public_ip TEXT, "
    "state_since_us BIGINT NOT NULL,"
    " started_us BIGINT NOT NULL, expires_us BIGINT NOT NULL, release_us BIGINT NOT NULL) "
    "{compact};"
    "CREATE INDEX instance_state ON instance (account_id, region_id, state, id);"
    "CREATE INDEX instance_release ON instance (release_us, id) WHERE release_us > 0;"
    "CREATE TABLE tally (account_id TEXT NOT NULL, region_id TEXT NOT NULL, state BIGINT NOT NULL, "
    "n BIGINT NOT NULL,"
    " PRIMARY KEY (account_id, region_id, state)) {compact};"
    "CREATE TABLE instance_doc (id TEXT NOT NULL PRIMARY KEY, in_account TEXT NOT NULL, in_region "
    "TEXT NOT NULL,"
    " in_zone TEXT, of_type TEXT, of_family TEXT, name TEXT, description TEXT, host_name TEXT, "
    "image_id TEXT,"
    " os_name TEXT, os_name_en TEXT, os_type TEXT, key_pair_name TEXT, resource_group_id TEXT, "
    "user_data TEXT,"
    " password_hash TEXT, network_type BIGINT NOT NULL, vpc_id TEXT, vswitch_id TEXT, private_ip "
    "TEXT, eni_id TEXT,"
    " mac TEXT, eip_id TEXT, eip_address TEXT, internet_charge_type BIGINT NOT NULL, "
    "bandwidth_in_mbps BIGINT NOT NULL,"
    " bandwidth_out_mbps BIGINT NOT NULL, wants_public_ip BIGINT NOT NULL, spot_strategy BIGINT "
    "NOT NULL,"
    " spot_price_limit DOUBLE PRECISION NOT NULL, credit_specification TEXT, serial_number TEXT, "
    "metadata_options TEXT,"
    " hibernation BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX doc_all ON instance_doc (in_account, in_region, id);"
    "CREATE INDEX doc_zone ON instance_doc (in_account, in_region, in_zone, id);"
    "CREATE INDEX doc_type ON instance_doc (in_account, in_region, of_type, id);"
    "CREATE INDEX doc_family ON instance_doc (in_account, in_region, of_family, id);"
    "CREATE INDEX doc_image ON instance_doc (in_account, in_region, image_id, id);"
    "CREATE INDEX doc_vpc ON instance_doc (in_account, in_region, vpc_id, id);"
    "CREATE INDEX doc_vswitch ON instance_doc (in_account, in_region, vswitch_id, id);"
    "CREATE INDEX doc_name ON instance_doc (in_account, in_region, name, id);"
    "CREATE INDEX doc_private_ip ON instance_doc (private_ip, id) WHERE private_ip IS NOT NULL;"
    "CREATE INDEX doc_eip ON instance_doc (eip_address, id) WHERE eip_address IS NOT NULL;"
    "CREATE INDEX doc_key ON instance_doc (in_account, in_region, key_pair_name, id) WHERE "
    "key_pair_name IS NOT NULL;"
    "CREATE INDEX doc_resource_group ON instance_doc (in_account, in_region, resource_group_id, id)"
    " WHERE resource_group_id IS NOT NULL;";

/* Keys of job and event are times that grow: rows are appended and their pages written once. */
static const char work_tables[] =
    "CREATE TABLE job (id {key} PRIMARY KEY, kind BIGINT NOT NULL, state BIGINT NOT NULL, "
    "instance_id TEXT,"
    " account_id TEXT, incarnation BIGINT NOT NULL, step BIGINT NOT NULL, attempts BIGINT NOT NULL,"
    " force BIGINT NOT NULL, clear_local BIGINT NOT NULL, release_capacity BIGINT NOT NULL, "
    "stopped_mode BIGINT NOT NULL,"
    " reason BIGINT NOT NULL, request_id TEXT, error {text}, holder TEXT, epoch BIGINT NOT NULL, "
    "created_us BIGINT NOT NULL,"
    " deadline_us BIGINT NOT NULL, finished_us BIGINT NOT NULL);"
    "CREATE INDEX job_active ON job (id) WHERE state = 0;"
    "CREATE TABLE node (id TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL, until_us BIGINT NOT "
    "NULL) {compact};"
    "CREATE TABLE segment (instance_id TEXT NOT NULL, start_us BIGINT NOT NULL, end_us BIGINT NOT "
    "NULL, account_id TEXT,"
    " mode BIGINT NOT NULL, type_id TEXT, public_ip BIGINT NOT NULL, PRIMARY KEY (instance_id, "
    "start_us)) {compact};"
    "CREATE TABLE event (id {key} PRIMARY KEY, time_us BIGINT NOT NULL, kind BIGINT NOT NULL, "
    "account_id TEXT,"
    " instance_id TEXT, from_state TEXT, to_state TEXT, reason TEXT, request_id TEXT, actor TEXT);"
    "CREATE TABLE system_event (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, "
    "instance_id TEXT,"
    " type TEXT, cycle_status TEXT, reason TEXT, published_us BIGINT NOT NULL, not_before_us "
    "BIGINT NOT NULL,"
    " finished_us BIGINT NOT NULL) {compact};"
    "CREATE INDEX system_event_all ON system_event (account_id, region_id, id);"
    "CREATE INDEX system_event_instance ON system_event (instance_id, id);"
    "CREATE TABLE nonce (stamp_us BIGINT NOT NULL, digest {bytes} NOT NULL, expires_us BIGINT NOT "
    "NULL,"
    " PRIMARY KEY (stamp_us, digest)) {compact};"
    "CREATE TABLE client_token (account_id TEXT NOT NULL, action TEXT NOT NULL, token TEXT NOT "
    "NULL,"
    " digest TEXT NOT NULL, reply TEXT, expires_us BIGINT NOT NULL, PRIMARY KEY (account_id, "
    "action, token));"
    "CREATE INDEX client_token_expiry ON client_token (expires_us);";

static const char noun_tables[] =
    "CREATE TABLE account (id TEXT NOT NULL PRIMARY KEY, name TEXT, stopped_mode BIGINT NOT NULL,"
    " created_us BIGINT NOT NULL) {compact};"
    "CREATE TABLE access_key (id TEXT NOT NULL PRIMARY KEY, secret TEXT NOT NULL, account_id TEXT "
    "NOT NULL,"
    " enabled BIGINT NOT NULL, token TEXT, expires_us BIGINT NOT NULL, policy TEXT, role_arn TEXT, "
    "principal_id TEXT,"
    " created_us BIGINT NOT NULL);"
    "CREATE INDEX access_key_account ON access_key (account_id, id);"
    "CREATE INDEX access_key_expiry ON access_key (expires_us) WHERE expires_us > 0;"
    "CREATE TABLE host (id TEXT NOT NULL PRIMARY KEY, url TEXT, region_id TEXT, zone_id TEXT, "
    "state BIGINT NOT NULL,"
    " vcpus BIGINT NOT NULL, memory_mib BIGINT NOT NULL, used_vcpus BIGINT NOT NULL, "
    "used_memory_mib BIGINT NOT NULL,"
    " created_us BIGINT NOT NULL) {compact};"
    "CREATE TABLE disk (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, zone_id "
    "TEXT, instance_id TEXT,"
    " type BIGINT NOT NULL, category BIGINT NOT NULL, status BIGINT NOT NULL, size_gib BIGINT NOT "
    "NULL, device TEXT,"
    " name TEXT, description TEXT, image_id TEXT, performance_level TEXT, delete_with_instance "
    "BIGINT NOT NULL,"
    " encrypted BIGINT NOT NULL, created_us BIGINT NOT NULL, attached_us BIGINT NOT NULL);"
    "CREATE INDEX disk_all ON disk (account_id, region_id, id);"
    "CREATE INDEX disk_instance ON disk (instance_id, id) WHERE instance_id IS NOT NULL;"
    "CREATE INDEX disk_busy ON disk (instance_id) WHERE status <> 0;"
    "CREATE TABLE vpc (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, name TEXT, "
    "cidr TEXT,"
    " is_default BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX vpc_default ON vpc (account_id, region_id, id) WHERE is_default = 1;"
    "CREATE TABLE vswitch (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, vpc_id TEXT, zone_id "
    "TEXT, name TEXT, cidr TEXT,"
    " is_default BIGINT NOT NULL, next_address BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX vswitch_vpc ON vswitch (vpc_id, zone_id, id);"
    "CREATE TABLE security_group (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, "
    "vpc_id TEXT, name TEXT,"
    " description TEXT, is_default BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX security_group_default ON security_group (account_id, region_id, id) WHERE "
    "is_default = 1;"
    "CREATE TABLE group_member (group_id TEXT NOT NULL, instance_id TEXT NOT NULL, PRIMARY KEY "
    "(group_id, instance_id))"
    " {compact};"
    "CREATE INDEX group_member_instance ON group_member (instance_id, group_id);"
    "CREATE TABLE address (scope TEXT NOT NULL, address TEXT NOT NULL, instance_id TEXT,"
    " PRIMARY KEY (scope, address)) {compact};"
    "CREATE TABLE number (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL) {compact};"
    "CREATE TABLE tag (resource_id TEXT NOT NULL, resource_type TEXT NOT NULL, account_id TEXT NOT "
    "NULL, key TEXT NOT NULL,"
    " value TEXT NOT NULL, PRIMARY KEY (resource_id, key)) {compact};"
    "CREATE INDEX tag_value ON tag (account_id, resource_type, key, value, resource_id);"
    "CREATE INDEX tag_key ON tag (account_id, resource_type, key, resource_id);"
    "CREATE INDEX tag_resource ON tag (account_id, resource_type, resource_id);";

/* Subscriptions that have not been locked for being over: a stop touches none of it. */
static_assert(LOCK_REASON_FINANCIAL == 0, "schema");
static const char expiry_index[] =
    "CREATE INDEX instance_expiry ON instance (expires_us, id) WHERE expires_us > 0 AND (locks & "
    "1) = 0;";

/* What a delete removes for good, once its machine is gone. */
static const char job_disks[] = "ALTER TABLE job ADD COLUMN disks TEXT;";

/* Images of one's own; a disk is found by the image that its first content came from. Key pairs. */
static const char image_tables[] =
    "CREATE TABLE image (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, name TEXT, family TEXT, "
    "version TEXT,"
    " description TEXT, os_name TEXT, os_name_en TEXT, os_type TEXT, platform TEXT, architecture "
    "TEXT, boot_mode TEXT,"
    " state BIGINT NOT NULL, format BIGINT NOT NULL, size_gib BIGINT NOT NULL, cloud_init BIGINT "
    "NOT NULL,"
    " login_as_non_root BIGINT NOT NULL, direct_boot BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX disk_image ON disk (image_id) WHERE image_id IS NOT NULL;"
    "CREATE TABLE key_pair (id TEXT NOT NULL, account_id TEXT NOT NULL, region_id TEXT NOT NULL, "
    "name TEXT NOT NULL,"
    " fingerprint TEXT, public_key TEXT, resource_group_id TEXT, created_us BIGINT NOT NULL,"
    " PRIMARY KEY (account_id, region_id, name));";

static const char command_tables[] =
    "CREATE TABLE command (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, name TEXT, description TEXT,"
    " type BIGINT NOT NULL, content {text}, working_dir TEXT, timeout_s BIGINT NOT NULL, parametric BIGINT NOT NULL,"
    " resource_group_id TEXT, invoke_times BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX command_region ON command (account_id, region_id, id);"
    "CREATE TABLE invocation (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, command_id TEXT,"
    " command_name TEXT, command_description TEXT, command_type BIGINT NOT NULL, content {text}, parameters TEXT, script {text},"
    " working_dir TEXT, username TEXT, timeout_s BIGINT NOT NULL, termination_mode BIGINT NOT NULL,"
    " parametric BIGINT NOT NULL, resource_group_id TEXT, status BIGINT NOT NULL, invoke_status BIGINT NOT NULL,"
    " task_count BIGINT NOT NULL, created_us BIGINT NOT NULL, finished_us BIGINT NOT NULL);"
    "CREATE INDEX invocation_region ON invocation (account_id, region_id, id);"
    "CREATE INDEX invocation_finished ON invocation (finished_us, id) WHERE finished_us > 0;"
    "CREATE INDEX invocation_oldest ON invocation (account_id, finished_us) WHERE finished_us > 0;"
    "CREATE TABLE invocation_task (id TEXT NOT NULL PRIMARY KEY, invocation_id TEXT NOT NULL, command_id TEXT,"
    " account_id TEXT, region_id TEXT, instance_id TEXT, status BIGINT NOT NULL, incarnation BIGINT NOT NULL,"
    " pid BIGINT NOT NULL, exited BIGINT NOT NULL, exit_code BIGINT NOT NULL, dropped_bytes BIGINT NOT NULL,"
    " error BIGINT NOT NULL, error_info {text}, timeout_s BIGINT NOT NULL, created_us BIGINT NOT NULL,"
    " deliver_us BIGINT NOT NULL, started_us BIGINT NOT NULL, deadline_us BIGINT NOT NULL, stopped_us BIGINT NOT NULL,"
    " finished_us BIGINT NOT NULL, updated_us BIGINT NOT NULL,"
    " output {text});" /* last: it is long, and seldom read */
    "CREATE INDEX invocation_task_of ON invocation_task (invocation_id, id);"
    "CREATE INDEX invocation_task_instance ON invocation_task (instance_id, id);"
    "CREATE INDEX invocation_task_region ON invocation_task (account_id, region_id, id);"
    "CREATE INDEX invocation_task_active ON invocation_task (id) WHERE finished_us = 0;";

/* When a disk was last detached; how many disks an account has, exact at each commit. */
static const char disk_life[] =
    "ALTER TABLE disk ADD COLUMN detached_us BIGINT NOT NULL DEFAULT 0;"
    "CREATE TABLE disk_tally (account_id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL) {compact};"
    "INSERT INTO disk_tally (account_id, n) SELECT account_id, COUNT(*) FROM disk WHERE "
    "account_id IS NOT NULL GROUP BY account_id;";

/* Several nodes: who drives a host, under which epoch; a job whose holder has to look at its row again. */
static const char host_leases[] =
    "ALTER TABLE host ADD COLUMN holder TEXT;"
    "ALTER TABLE host ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN poked BIGINT NOT NULL DEFAULT 0;";

/* Sets, and which instances are in them: two columns of the wide row, so that those in none cost nothing. */
static const char deployment_sets[] =
    "CREATE TABLE deployment_set (id TEXT NOT NULL PRIMARY KEY, account_id TEXT, region_id TEXT, name TEXT, description TEXT,"
    " strategy BIGINT NOT NULL, on_failure BIGINT NOT NULL, group_count BIGINT NOT NULL, created_us BIGINT NOT NULL);"
    "CREATE INDEX deployment_set_region ON deployment_set (account_id, region_id, id);"
    "ALTER TABLE instance_doc ADD COLUMN deployment_set_id TEXT;"
    "ALTER TABLE instance_doc ADD COLUMN deployment_group_no BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX doc_deployment_set ON instance_doc (deployment_set_id, id) WHERE deployment_set_id IS NOT NULL;";

/* The choice of a host: of those that may take anything, a zone's by what memory is free. */
static const char host_room[] =
    "CREATE INDEX host_room ON host (region_id, zone_id, (memory_mib - used_memory_mib) DESC, id)"
    " WHERE state = 0 AND used_vcpus < vcpus;";

struct migration {
    const char *texts[4];
    bool beside; /* nodes that don't know it may go on writing: all that it adds has a default that is true of what they write */
};

static const struct migration migrations[] = {
    {{instance_tables, work_tables, noun_tables}, false},
    {{expiry_index}, true},
    {{job_disks}, false},
    {{image_tables}, false},
    {{command_tables}, false},
    {{disk_life}, false},
    {{host_leases}, false},
    {{deployment_sets}, false},
    {{host_room}, true},
};

/* How many migrations a program has to know to write what ours writes. */
static int64_t oldest_writer(void)
{
    size_t count = countof(migrations);

    while (migrations[count - 1].beside)
        count--;
    return (int64_t)count;
}

/* {key}, {bytes}, {text} and {compact} become the driver's words. */
static void translate(const char *text, const struct db_driver *driver, struct buf *out)
{
    const struct {
        struct str mark;
        const char *word;
    } words[] = {{STR("{key}"), driver->key_type},
                 {STR("{bytes}"), driver->bytes_type},
                 {STR("{text}"), driver->text_type},
                 {STR("{compact}"), driver->compact}};

    while (*text != '\0') {
        size_t i = 0;

        while (i < countof(words) && strncmp(text, words[i].mark.ptr, words[i].mark.len) != 0)
            i++;
        if (i < countof(words)) {
            buf_add_cstr(out, words[i].word);
            text += words[i].mark.len;
        } else {
            buf_add_char(out, *text++);
        }
    }
}

static int run_text(struct db *db, const struct db_driver *driver, const char *text)
{
    struct buf sql;

    buf_init(&sql, MIGRATION_TEXT_BYTES);
    translate(text, driver, &sql);
    assert(!sql.full);
    int r = db->ops->exec(db, buf_str(&sql).ptr);
    buf_done(&sql);
    return r;
}

static int newest(struct db *db, int64_t *ret)
{
    static const struct query query = {"SELECT MAX(number) FROM migration", NULL};
    struct stmt *stmt = NULL;
    struct value value = {.kind = VALUE_NULL};
    int r = db->ops->prepare(db, query.text, &stmt);

    if (r < 0)
        return r;
    db_cache(db, &query, stmt);
    r = db->ops->step(db, stmt);
    if (r > 0)
        db->ops->column(db, stmt, 0, &value);
    db->ops->reset(db, stmt);
    if (r < 0)
        return r;
    *ret = value.kind == VALUE_I64 ? value.i64 : 0;
    return 0;
}

static int migrate(struct db *db, const struct db_driver *driver, int64_t number, usec_t now)
{
    const char *const *texts = migrations[number - 1].texts;
    char row[128];

    for (size_t i = 0; texts[i]; i++) {
        int r = run_text(db, driver, texts[i]);
        if (r < 0)
            return r;
    }
    (void)snprintf(row, sizeof(row),
                   "INSERT INTO migration (number, applied_us) VALUES (%lld, %lld)",
                   (long long)number, (long long)now);
    return db->ops->exec(db, row);
}

/* A newer ecsd has been here, and one as old as ours may not write any more. */
static bool is_too_old(const struct db *db, const struct db_driver *driver, int64_t found)
{
    return found > (int64_t)countof(migrations) && (!driver->require || db->turn.oldest > (int64_t)countof(migrations));
}

static int apply(struct db *db, const struct db_driver *driver, usec_t now, int64_t *ret_found)
{
    int64_t number = 0;
    int r = run_text(db, driver,
                     "CREATE TABLE IF NOT EXISTS migration (number {key} PRIMARY KEY, applied_us "
                     "BIGINT NOT NULL);");

    if (r == 0)
        r = newest(db, &number);
    *ret_found = number;
    while (r == 0 && number < (int64_t)countof(migrations))
        r = migrate(db, driver, ++number, now);
    if (r == 0 && driver->require && !is_too_old(db, driver, *ret_found))
        r = driver->require(db, oldest_writer(), (int64_t)countof(migrations));
    return r;
}

int schema_apply(struct db *db, const struct db_driver *driver, usec_t now, struct fail *fail)
{
    int64_t found = 0;
    int r = db->ops->begin(db, true);

    if (r == 0)
        r = apply(db, driver, now, &found);
    if (r == 0 && is_too_old(db, driver, found)) {
        db->ops->rollback(db);
        return fail_text(fail, E_INVALID,
                         "the database was written by a newer ecsd (schema %lld, this one knows "
                         "%zu); use that version",
                         (long long)found, countof(migrations));
    }
    if (r == 0)
        r = db->ops->commit(db);
    if (r < 0) {
        db->ops->rollback(db);
        return fail_text(fail, (enum error_code) - r,
                         "cannot bring the database to its newest shape: %s",
                         error_code_text((enum error_code) - r));
    }
    return 0;
}
