/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt, loaded when it is first needed: the program starts without it and says what to install. Only libvirt*.c of this
 * folder include this. Calls are written lv.virDomainCreate(…), with libvirt's own names and types.
 */
#pragma once

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/fail.h"

/* Everything of libvirt that is used here. */
#define LIBVIRT_FUNCTIONS(X)                                                                       \
    X(virInitialize)                                                                               \
    X(virSetErrorFunc)                                                                             \
    X(virGetLastError)                                                                             \
    X(virResetLastError)                                                                           \
    X(virEventRegisterDefaultImpl)                                                                 \
    X(virEventRunDefaultImpl)                                                                      \
    X(virEventAddHandle)                                                                           \
    X(virEventRemoveHandle)                                                                        \
    X(virEventAddTimeout)                                                                          \
    X(virEventRemoveTimeout)                                                                       \
    X(virConnectOpenAuth)                                                                          \
    X(virConnectClose)                                                                             \
    X(virConnectRef)                                                                               \
    X(virConnectIsAlive)                                                                           \
    X(virConnectSetKeepAlive)                                                                      \
    X(virConnectRegisterCloseCallback)                                                             \
    X(virConnectUnregisterCloseCallback)                                                           \
    X(virConnectGetCapabilities)                                                                   \
    X(virConnectDomainEventRegisterAny)                                                            \
    X(virConnectDomainEventDeregisterAny)                                                          \
    X(virConnectListAllDomains)                                                                    \
    X(virDomainLookupByUUIDString)                                                                 \
    X(virDomainDefineXML)                                                                          \
    X(virDomainUndefineFlags)                                                                      \
    X(virDomainFree)                                                                               \
    X(virDomainGetName)                                                                            \
    X(virDomainGetUUIDString)                                                                      \
    X(virDomainGetConnect)                                                                         \
    X(virDomainGetState)                                                                           \
    X(virDomainGetMetadata)                                                                        \
    X(virDomainSetMetadata)                                                                        \
    X(virDomainGetXMLDesc)                                                                         \
    X(virDomainCreate)                                                                             \
    X(virDomainShutdownFlags)                                                                      \
    X(virDomainResume)                                                                             \
    X(virDomainReset)                                                                              \
    X(virDomainDestroyFlags)                                                                       \
    X(virDomainAttachDeviceFlags)                                                                  \
    X(virDomainDetachDeviceFlags)                                                                  \
    X(virDomainUpdateDeviceFlags)                                                                  \
    X(virDomainScreenshot)                                                                         \
    X(virStreamNew)                                                                                \
    X(virStreamRecv)                                                                               \
    X(virStreamFinish)                                                                             \
    X(virStreamAbort)                                                                              \
    X(virStreamFree)

/* Of the second library, libvirt-qemu. */
#define LIBVIRT_QEMU_FUNCTIONS(X)                                                                  \
    X(virDomainQemuAgentCommand)                                                                   \
    X(virDomainQemuMonitorCommand)

struct libvirt_api {
#define MEMBER(name) __typeof__(&name) name;
    LIBVIRT_FUNCTIONS(MEMBER)
    LIBVIRT_QEMU_FUNCTIONS(MEMBER)
#undef MEMBER
};

/* Valid once libvirt_api_load has succeeded. */
extern struct libvirt_api lv;

/* Loads and initialises libvirt, once per process. -E_NOT_FOUND: it is not there; the text says what to install. */
int libvirt_api_load(struct fail *fail) must_check;
