/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Word to the supervisor: one datagram to $NOTIFY_SOCKET (sd_notify(3)), a path or "@name" for an
 * abstract socket. Without that variable nothing is sent.
 */
#pragma once

#include "base/clock.h"

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…". True when it was handed over; callers may
 * ignore it. */
bool notify_send(const char *text);
/* How often WATCHDOG=1 is due: half of $WATCHDOG_USEC, or 0 when nobody watches this process. */
usec_t notify_watchdog_us(void);
