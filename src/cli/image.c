/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image import, image remove. What is durable after each step, so that dying between two leaves
 * nothing that counts:
 *
 *   import   ImportImage: a row that counts for nothing ─▶ files synced and in place ─▶ AdoptImage:
 * it counts remove   RetireImage: it does not count any more    ─▶ files gone                ─▶
 * RemoveImage: no row
 *
 * Doing it again goes on from wherever it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/image_file.h"
#include "cli/image_folder.h"
#include "cli/print.h"
#include "cli/session.h"

#define CMDLINE_MAX_BYTES 2047 /* COMMAND_LINE_SIZE of Linux on x86, with its end */
#define IMPORT_PAIRS (COMMAND_OPERANDS + COMMAND_SETTINGS + 4)

struct image_import {
    struct image_parts parts;
    struct image_file file; /* what was found in parts.disk */
    const char *format; /* as asked; NULL: as found */
    struct pair items[IMPORT_PAIRS];
    struct pairs pairs; /* of ImportImage */
};

static void add(struct image_import *import, struct str name, struct str value)
{
    assert(import->pairs.count < IMPORT_PAIRS);
    import->items[import->pairs.count++] = (struct pair){name, value};
}

/* What is for the copying, and what for the daemon. */
static void sort_pair(struct image_import *import, const struct pair *pair)
{
    const struct {
        struct str name;
        const char **slot;
    } ours[] = {
        {STR("File"), &import->parts.disk},     {STR("Kernel"), &import->parts.kernel},
        {STR("Initrd"), &import->parts.initrd}, {STR("Cmdline"), &import->parts.cmdline},
        {STR("FileFormat"), &import->format},   {STR("Agent"), &import->parts.agent},
    };

    for (size_t i = 0; i < countof(ours); i++) {
        if (!str_eq(ours[i].name, pair->name))
            continue;
        *ours[i].slot = pair->value.ptr; /* a word of the command line: it ends in NUL */
        return;
    }
    add(import, pair->name, pair->value);
}

static int check_boot(const struct image_parts *parts, struct fail *fail)
{
    struct str cmdline = str_from(parts->cmdline);

    if (!parts->kernel && (parts->initrd || parts->cmdline))
        return fail_text(fail, E_INVALID,
                         "initrd and cmdline are a kernel's: give kernel=FILE too");
    if (cmdline.len > CMDLINE_MAX_BYTES)
        return fail_text(fail, E_INVALID, "cmdline is longer than %d bytes", CMDLINE_MAX_BYTES);
    for (size_t i = 0; i < cmdline.len; i++)
        if (cmdline.ptr[i] < ' ' || cmdline.ptr[i] > '~')
            return fail_text(fail, E_INVALID, "cmdline may hold printable ASCII only");
    return 0;
}

static int look_at(struct session *session, const char *path, const char *format,
                   struct image_file *ret)
{
    int fd;
    int r;

    assert(path);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe is to be told, not waited for */
    if (fd < 0)
        return fail_text(&session->fail, E_INVALID, "can't open %s: %s", path, strerror(errno));
    r = image_file_look(fd, path, format, ret, &session->fail);
    (void)close(fd);
    return r;
}

static int look(struct session *session, struct image_import *import)
{
    int r = look_at(session, import->parts.disk, import->format, &import->file);

    if (r < 0)
        return r;
    add(import, STR("FileFormat"), import->file.qcow2 ? STR("qcow2") : STR("raw"));
    add(import, STR("SizeGib"),
        arena_printf(&session->arena, "%lld", (long long)import->file.size_gib));
    add(import, STR("DirectBoot"), import->parts.kernel ? STR("true") : STR("false"));
    return 0;
}

/* What was copied has to be what was looked at: the daemon believes what we said of it. */
static int look_again(struct session *session, const struct image_import *import, struct str id)
{
    const char *path =
        arena_printf(&session->arena, "%s/images/%.*s/disk", session->data, STR_ARG(id)).ptr;
    struct image_file copy;
    int r = look_at(session, path, import->file.qcow2 ? "qcow2" : "raw", &copy);

    if (r == 0 && copy.size_gib != import->file.size_gib)
        r = fail_text(&session->fail, E_INVALID,
                      "%s became another image while it was imported; try again",
                      import->parts.disk);
    return r;
}

static enum session_status session_failed(const struct session *session)
{
    (void)fprintf(stderr, "ecsctl: %.*s\n", STR_ARG(session->fail.message));
    return STATUS_REFUSED;
}

/* An action that takes an ImageId; *ret (may be NULL) its reply. */
static enum session_status ask_about(struct session *session, const char *action, struct str id,
                                     json_t **ret)
{
    struct pair pair = {STR("ImageId"), id};
    json_t *reply;
    enum session_status status = session_ask(session, action, &(struct pairs){&pair, 1}, &reply);

    if (status != STATUS_DONE)
        return status;
    if (ret)
        *ret = reply;
    else
        json_decref(reply);
    return status;
}

/* The row of an import that failed goes again, so that it hides nothing. */
static void withdraw(struct session *session, struct str id)
{
    if (ask_about(session, "RetireImage", id, NULL) == STATUS_DONE)
        (void)ask_about(session, "RemoveImage", id,
                        NULL); /* what failed has been printed; `image remove` does it again */
}

static enum session_status order(struct session *session, struct image_import *import,
                                 struct str *ret_id)
{
    json_t *reply;
    enum session_status status = session_ask(session, "ImportImage", &import->pairs, &reply);
    const char *id;

    if (status != STATUS_DONE)
        return status;
    id = json_string_value(print_find(reply, "Image.ImageId"));
    assert(id);
    *ret_id = arena_str(&session->arena, str_from(id));
    json_decref(reply);
    return STATUS_DONE;
}

static enum session_status adopt(struct session *session, struct image_folder *folder,
                                 struct str id)
{
    const struct command *command = session->arguments.command;
    json_t *reply;
    enum session_status status = ask_about(session, "AdoptImage", id, &reply);
    json_t *found;

    if (status == STATUS_SILENT) /* perhaps it has been carried out: the file stays, importing again
                                    or removing settles it */
        return status;
    if (status != STATUS_DONE) {
        if (image_folder_drop(folder, id, &session->fail) < 0)
            return session_failed(session);
        withdraw(session, id);
        return status;
    }
    found = print_find(reply, command->path);
    if (session->arguments.flags[FLAG_JSON])
        print_json(reply, found, stdout);
    else
        print_thing(reply, found, stdout);
    json_decref(reply);
    return status;
}

/* Prints why, before another failure can take its place. */
static enum session_status give_up(struct session *session, struct image_folder *folder,
                                   struct str id)
{
    enum session_status status = session_failed(session);

    if (image_folder_drop(folder, id, &session->fail) == 0)
        withdraw(session, id);
    return status;
}

static enum session_status bring(struct session *session, struct image_folder *folder,
                                 struct image_import *import)
{
    struct str id;
    enum session_status status = order(session, import, &id);

    if (status != STATUS_DONE)
        return status;
    if (image_folder_bring(folder, id, &import->parts, &session->fail) < 0 ||
        look_again(session, import, id) < 0)
        return give_up(session, folder, id);
    return adopt(session, folder, id);
}

enum session_status run_image_import(struct session *session)
{
    struct image_import import = {.format = NULL};
    struct image_folder folder;
    enum session_status status;
    struct pairs given;

    import.pairs.items = import.items;
    if (arguments_pairs(&session->arguments, &given, &session->fail) < 0)
        return session_usage(session);
    for (size_t i = 0; i < given.count; i++)
        sort_pair(&import, &given.items[i]);
    if (check_boot(&import.parts, &session->fail) < 0)
        return session_usage(session);
    if (look(session, &import) < 0 || image_folder_open(session->data, &folder, &session->fail) < 0)
        return session_failed(session);
    status = bring(session, &folder, &import);
    image_folder_close(&folder);
    return status;
}

enum session_status run_image_remove(struct session *session)
{
    struct image_folder folder;
    enum session_status status;
    struct pairs given;
    struct str id;

    if (arguments_pairs(&session->arguments, &given, &session->fail) < 0)
        return session_usage(session);
    id = given.items[0].value;
    if (image_folder_open(session->data, &folder, &session->fail) < 0)
        return session_failed(session);
    status = ask_about(session, "RetireImage", id, NULL);
    if (status == STATUS_DONE && image_folder_drop(&folder, id, &session->fail) < 0)
        status = session_failed(session);
    if (status == STATUS_DONE)
        status = ask_about(session, "RemoveImage", id, NULL);
    image_folder_close(&folder);
    return status;
}
