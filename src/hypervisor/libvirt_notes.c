/* SPDX-License-Identifier: Apache-2.0 */
/* What the embedded libvirt's life before has left: notes of machines' processes, and QEMUs that were only to tell what they can do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypervisor/libvirt_impl.h"

#define NOTE_BYTES 4096 /* of libvirt's note of a process: its number is in the first lines */
#define PROBE_PREFIX "qmp-"

/* Bytes read; 0: there are none to be had. Ends the text. */
static size_t read_start(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);

    if (fd >= 0)
        (void)close(fd); /* read only */
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* -1: that is no number of a process, nor 0. */
static int pid_of(struct str text)
{
    int64_t pid;

    return str_to_i64(text, &pid) == 0 && pid >= 0 && pid <= INT32_MAX ? (int)pid : -1;
}

/* ── machines ── */

/* The number of the process in libvirt's note of a domain: <domstatus state='running' … pid='123'>. 0: not made yet. -1: none. */
static int noted_pid(const char *path)
{
    char text[NOTE_BYTES];
    const char *at = read_start(path, text, sizeof(text)) > 0 ? strstr(text, "<domstatus ") : NULL;
    const char *end = at ? strchr(at, '>') : NULL;

    at = at ? strstr(at, " pid='") : NULL;
    if (!end || !at || at >= end)
        return -1;
    at += strlen(" pid='");
    return pid_of(str_slice(at, strcspn(at, "'")));
}

/*
 * A start that ended before its process was made leaves 0: libvirt takes such a machine for one that is starting up, and neither
 * goes on with it nor lets anybody else (seen in 9.0).
 */
static bool is_stale(const char *path, struct str id, bool rebooted)
{
    int pid = noted_pid(path);

    if (pid == 0)
        return true;
    if (pid < 0 || lv_process_is(pid, id))
        return false;
    /* A number that nobody has does no harm: libvirt sees by itself that the process has ended. */
    return rebooted || kill(pid, 0) == 0 || errno == EPERM;
}

void lv_notes_clean(const char *run_dir, bool rebooted)
{
    DIR *dir = opendir(run_dir);
    struct dirent *entry;
    char path[LIBVIRT_URI_MAX + LIBVIRT_ID_MAX + 8];

    while (dir && (entry = readdir(dir)) != NULL) {
        struct str id = str_from(entry->d_name);

        if (!str_ends(id, STR(".xml")) || id.len - 4 > LIBVIRT_ID_MAX)
            continue;
        id.len -= 4;
        (void)snprintf(path, sizeof(path), "%s/%.*s.xml", run_dir, STR_ARG(id));
        if (!is_stale(path, id, rebooted))
            continue;
        log_warning("libvirt's note of a machine's process means none of its: removed", LOG_STR("instance", id));
        (void)unlink(path); /* one that stays is libvirt's to deal with, as before */
        (void)snprintf(path, sizeof(path), "%s/%.*s.pid", run_dir, STR_ARG(id));
        (void)unlink(path); /* likewise */
    }
    if (dir)
        (void)closedir(dir); /* read only */
}

/* ── QEMUs without a machine ── */

/* The handle first, then who it is: whatever the number means later, the handle means this process. */
static void end_probe(const char *pid_path)
{
    char text[32];
    size_t n = read_start(pid_path, text, sizeof(text));
    int pid = pid_of(str_trim(str_slice(text, strcspn(text, "\n"))));
    int pidfd = n > 0 && pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

    if (pidfd < 0)
        return;
    if (lv_process_has(pid, pid_path)) {
        log_notice("a QEMU that was asked what it can do when ecsd ended is ended", LOG_NUM("pid", pid));
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); /* gone already: as well */
    }
    (void)close(pidfd); /* a handle, nothing else */
}

void lv_probes_end(const char *lib_dir)
{
    DIR *dir = opendir(lib_dir);
    struct dirent *entry;
    char path[LIBVIRT_URI_MAX + NAME_MAX + 16];

    while (dir && (entry = readdir(dir)) != NULL) {
        if (!str_starts(str_from(entry->d_name), STR(PROBE_PREFIX)))
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s/qmp.pid", lib_dir, entry->d_name);
        end_probe(path);
    }
    if (dir)
        (void)closedir(dir); /* read only */
}
