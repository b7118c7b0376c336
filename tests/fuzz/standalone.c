/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() for a fuzz target without a fuzzer: runs it once on every file in what it is given.  A
 * file named NAME-whatever must get the answer NAME (fuzz.h); other names promise nothing.
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static int wrong;

/* Compares the target's answer with what the file's name promises. */
static void check_answer(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strcspn(name, "-");

    if (name[len] == '\0' || (strlen(fuzz_answer) == len && memcmp(name, fuzz_answer, len) == 0))
        return;
    fprintf(stderr, "%s: the answer is \"%s\"\n", path, fuzz_answer);
    wrong++;
}

/* Runs the target on one file; returns 1, or 0 if it cannot be read. */
static int run_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    unsigned char *data = NULL, *grown;
    size_t size = 0, n = 1;

    while (in && n > 0 && (grown = realloc(data, size + 65536)) != NULL) {
        data = grown;
        n = fread(data + size, 1, 65536, in);
        size += n;
    }
    if (!in || ferror(in) || !data) {
        perror(path);
        exit(2);
    }
    fclose(in);
    /* exactly as long as the input, so that a sanitizer sees what reads beyond it */
    grown = malloc(size ? size : 1);
    if (!grown)
        exit(2);
    memcpy(grown, data, size);
    free(data);
    LLVMFuzzerTestOneInput(grown, size);
    check_answer(path);
    free(grown);
    return 1;
}

/* Runs the target on path, or on what is in it; returns how many files that were. */
static int run_path(const char *path)
{
    struct stat info;
    struct dirent *entry;
    char name[4096];
    int count = 0;
    DIR *dir;

    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return run_file(path);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        count += run_path(name);
    }
    if (dir)
        closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int i, count = 0;

    for (i = 1; i < argc; i++)
        count += run_path(argv[i]);
    printf("%d inputs, %d not answered as their names say\n", count, wrong);
    return count && !wrong ? EXIT_SUCCESS : EXIT_FAILURE;
}
