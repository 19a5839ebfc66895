/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a target over the files and folders that are named: the corpus as a test, without libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

static int run_file(const char *path)
{
    FILE *file = fopen(path, "re");
    struct stat status;
    uint8_t *bytes;
    size_t got;

    if (!file || fstat(fileno(file), &status) < 0) {
        (void)fprintf(stderr, "%s: can't be read\n", path);
        return -1;
    }
    bytes = xcalloc(1, (size_t)status.st_size + 1);
    got = fread(bytes, 1, (size_t)status.st_size, file);
    (void)fclose(file); /* only read */
    /* Said before, so that the last line names the input that ends us. */
    (void)printf("%s: %zu bytes\n", path, got);
    (void)fflush(stdout);
    bytes = xrealloc(bytes, MAX_OF(got, (size_t)1)); /* no byte to spare: reading past the end is seen */
    (void)LLVMFuzzerTestOneInput(bytes, got);        /* it ends the process, or is content */
    (void)xfree(bytes);
    return 1;
}

/* The number of inputs that were run, or -1. */
static int run_path(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int count = 0;

    if (!folder)
        return run_file(path);
    while (count >= 0 && (entry = readdir(folder))) {
        char name[1024];
        int one;

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name); /* one that doesn't fit can't be read: said */
        one = run_file(name);
        count = one < 0 ? -1 : count + one;
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        int some = run_path(argv[i]);

        if (some < 0)
            return 1;
        count += some;
    }
    (void)printf("%d inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
