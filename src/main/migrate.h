/* SPDX-License-Identifier: Apache-2.0 */
/* ecsd migrate: a store into another one. */
#pragma once

/* `words` behind "migrate". The exit status: 0, 1 nothing was kept, 2 the words are wrong. */
int migrate_main(int count, char **words);
