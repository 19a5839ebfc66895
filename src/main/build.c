/* SPDX-License-Identifier: Apache-2.0 */
#include "main/build.h"

const char build_version[] = ECSD_VERSION;
