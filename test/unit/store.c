/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite on SQLite, and on SQLite behind the wrapper that injects faults. */
#include "conform/store.c"
#include "conform/store_batch.c"

int main(void)
{
    int failed = conform_store("store on sqlite", &sqlite_driver);

    failed += conform_batch("batches on sqlite", &sqlite_driver);
    return failed + conform_store("store on fault(sqlite)", &fault_driver);
}
