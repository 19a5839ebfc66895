/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as libvirt's domain XML, and the little that is read back of it. Pure: no files, no libvirt.
 *
 * What we need to know of a machine after a crash travels with it, in the domain's own metadata:
 *   <ecsd:machine xmlns:ecsd="urn:ecsd:machine:1" incarnation="3" started="1" agent="1"/>
 * `incarnation` is written before a start and `started` after it: one that was written but never came to life has not been
 * lived (law 5: an incarnation lives once, and may be tried until it does).
 */
#pragma once

#include "base/buf.h"
#include "hypervisor/hypervisor.h"

#define DOMAIN_XML_BYTES (256u * 1024) /* of one domain: 60 disks are under 30 KiB */
#define DOMAIN_NAMESPACE "urn:ecsd:machine:1"
#define DOMAIN_UUID_BYTES 37
#define DOMAIN_TARGET_BYTES 8
#define DOMAIN_DISKS_MAX 64

/* Our part of a domain's metadata. */
struct domain_mark {
    int64_t incarnation; /* of the latest start, or of the one that is being tried */
    bool started;        /* it came to life */
    bool agent;          /* its image has a guest agent: the system is up once that answers */
};

struct domain_disk {
    struct str path;
    const char *format; /* "qcow2", "raw" */
    struct str serial;  /* what the guest sees; absent: none */
    char target[DOMAIN_TARGET_BYTES];
    bool read_only;
};

struct domain_boot { /* all absent: from the first disk */
    struct str kernel;
    struct str initrd;
    struct str command_line;
};

struct domain_spec {
    const struct machine_spec *machine;
    struct domain_mark mark;
    struct domain_boot boot;
    const struct domain_disk *disks;
    size_t disk_count;
    struct str console_path; /* the log of the serial console */
    struct str agent_path;   /* socket of the guest agent */
    bool kvm;
};

/* The UUID of the domain of a machine: of its id, so that a domain that only has the name is not taken for ours. */
void domain_uuid(struct str machine_id, char ret[DOMAIN_UUID_BYTES]);
/* "vda", "vdb" … of the n-th disk, as virtio names them; beyond "vdz" "vdaa". */
void domain_target(size_t n, char ret[DOMAIN_TARGET_BYTES]);
/* Appends the XML; text of others is escaped, and what XML can't hold (control characters) is left out. */
void domain_xml(struct buf *out, const struct domain_spec *spec);
/* Appends the element of one disk, as hot plugging wants it. */
void domain_disk_xml(struct buf *out, const struct domain_disk *disk);
/* Appends the element of our metadata without its namespace, as virDomainSetMetadata wants it. */
void domain_mark_xml(struct buf *out, const struct domain_mark *mark);
/* Reads what domain_mark_xml wrote. -E_INVALID: it is none of ours; *ret is untouched. */
int domain_mark_parse(struct str xml, struct domain_mark *ret) must_check;
/* Appends the element of the screen's VNC server with a password until `until_us`; absent: nobody gets in. */
void domain_vnc_xml(struct buf *out, struct str password, usec_t until_us);
/* What the XML of a living domain says: the VNC server's port, or -E_NOT_FOUND; is the guest's agent there? */
int domain_vnc_port(struct str xml, int64_t *ret) must_check;
bool domain_agent_connected(struct str xml);
/* The name under which the guest has the disk of that file. -E_NOT_FOUND: it has none. */
int domain_disk_target(struct str xml, struct str path, char ret[DOMAIN_TARGET_BYTES]) must_check;
