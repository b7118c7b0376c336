/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keytab, read once and kept in memory; see http_ticket_krb5.h.
 *
 * libkrb5 could read the file itself, but takes one that was cut off, with half a key, for a good
 * one.
 */
#include "http_ticket_krb5.h"
#include <apr_atomic.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <krb5.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYTAB_MAX (1024 * 1024)
#define NAMES_MAX 5       /* of a keytab's principals in a message */
#define NAME_BYTES 100    /* of each */
#define COMPONENTS_MAX 16 /* of a principal; two is what there are */

/* What is left of a record, or of the file. */
typedef struct rest_t {
    const unsigned char *at;
    apr_size_t len;
    int cut; /* more was asked for */
} rest_t;

/* A record of the file. */
typedef struct record_t {
    rest_t realm, component[COMPONENTS_MAX], key;
    apr_uint32_t ncomponents, version, enctype, timestamp;
} record_t;

void ticket_name(char *name, apr_size_t size)
{
    static volatile apr_uint32_t last;

    apr_snprintf(name, size, "MEMORY:mod_scep-%ld-%u", (long)getpid(), apr_atomic_inc32(&last));
}

/* Kerberos' words for an error, in p and printable. */
static const char *explained(krb5_context context, krb5_error_code code, apr_pool_t *p)
{
    char text[TICKET_ERROR_MAX];

    ticket_explain(text, sizeof(text), context, code);
    return http_printable(text, sizeof(text), p);
}

/* The next number, of that many bytes. */
static apr_uint32_t take_number(rest_t *rest, apr_size_t bytes)
{
    apr_uint32_t value = 0;

    if (rest->len < bytes) {
        rest->cut = 1;
        rest->len = 0;
        return 0;
    }
    for (; bytes > 0; bytes--, rest->at++, rest->len--)
        value = value << 8 | *rest->at;
    return value;
}

/* The next bytes. */
static rest_t take_bytes(rest_t *rest, apr_size_t len)
{
    rest_t taken = {rest->at, len, 0};

    if (rest->len < len) {
        rest->cut = 1;
        taken.len = rest->len = 0;
        return taken;
    }
    rest->at += len;
    rest->len -= len;
    return taken;
}

/* Takes a record apart; 0: it is none. */
static int take_record(record_t *record, rest_t *rest)
{
    apr_uint32_t i, version;

    record->ncomponents = take_number(rest, 2);
    if (record->ncomponents < 1 || record->ncomponents > COMPONENTS_MAX)
        return 0;
    record->realm = take_bytes(rest, take_number(rest, 2));
    for (i = 0; i < record->ncomponents; i++)
        record->component[i] = take_bytes(rest, take_number(rest, 2));
    (void)take_number(rest, 4); /* kind of the name */
    record->timestamp = take_number(rest, 4);
    record->version = take_number(rest, 1);
    record->enctype = take_number(rest, 2);
    record->key = take_bytes(rest, take_number(rest, 2));
    if (rest->cut || record->key.len == 0)
        return 0;
    version = rest->len >= 4 ? take_number(rest, 4) : 0; /* where 8 bits are not enough */
    if (version)
        record->version = version;
    return 1;
}

/* Whether bytes are those of a principal's part. */
static int is_same(const rest_t *bytes, const krb5_data *part)
{
    return bytes->len == part->length && memcmp(bytes->at, part->data, bytes->len) == 0;
}

/* Whether a record is a principal's. */
static int is_of(const record_t *record, krb5_principal principal)
{
    apr_uint32_t i;
    int same = is_same(&record->realm, &principal->realm) &&
               record->ncomponents == (apr_uint32_t)principal->length;

    for (i = 0; same && i < record->ncomponents; i++)
        same = is_same(&record->component[i], &principal->data[i]);
    return same;
}

/* Adds the name in a record to names, once, as far as there is room. */
static void add_name(const char **names, int *n, const record_t *record, apr_pool_t *p)
{
    const char *name = "";
    apr_uint32_t i;

    if (*n > NAMES_MAX)
        return;
    for (i = 0; i < record->ncomponents; i++)
        name = apr_pstrcat(p, name, i ? "/" : "", apr_pstrndup(p, (const char *)
                           record->component[i].at, record->component[i].len), NULL);
    name = apr_pstrcat(p, name, "@", apr_pstrndup(p, (const char *)record->realm.at,
                                                  record->realm.len), NULL);
    name = http_printable(name, NAME_BYTES, p);
    if (*n && strstr(*names, name))
        return;
    *names = *n == NAMES_MAX ? apr_pstrcat(p, *names, ", ...", NULL)
                             : apr_pstrcat(p, *names, *n ? ", " : "", name, NULL);
    (*n)++;
}

/* Adds a record's key to a keytab in memory. */
static krb5_error_code add_key(krb5_context context, krb5_keytab keytab, krb5_principal principal,
                               const record_t *record)
{
    krb5_keytab_entry entry; /* is copied */

    memset(&entry, 0, sizeof(entry));
    entry.principal = principal;
    entry.timestamp = (krb5_timestamp)record->timestamp;
    entry.vno = record->version;
    entry.key.enctype = (krb5_enctype)record->enctype;
    entry.key.length = (unsigned)record->key.len;
    entry.key.contents = (krb5_octet *)record->key.at;
    return krb5_kt_add_entry(context, keytab, &entry);
}

/* Adds a principal's keys of a whole file to keys.  Error text in p, NULL on success. */
static const char *add_keys(ticket_keys_t *keys, krb5_context context, krb5_principal principal,
                            rest_t file, apr_pool_t *p)
{
    const char *names = "";
    krb5_error_code code = 0;
    int n = 0, found = 0;
    apr_int32_t len;
    record_t record;
    rest_t rest;

    if (take_number(&file, 2) != 0x0502)
        return "it is no keytab of version 2";
    while (file.len > 0 && (len = (apr_int32_t)take_number(&file, 4)) != 0 && !file.cut && !code) {
        /* a negative length is a hole's */
        rest = take_bytes(&file, len > 0 ? (apr_size_t)len : (apr_size_t)-(apr_int64_t)len);
        if (len < 0)
            continue;
        if (file.cut || !take_record(&record, &rest))
            return "it is cut off or damaged";
        add_name(&names, &n, &record, p);
        if (is_of(&record, principal)) {
            code = add_key(context, keys->keytab, principal, &record);
            found = 1;
        }
    }
    if (file.cut)
        return "it is cut off or damaged";
    if (code)
        return explained(context, code, p);
    return found ? NULL : apr_psprintf(p, "it has no key of %s, but of %s", keys->principal,
                                       *names ? names : "nobody");
}

/* Reads a whole file that others may not read, into malloc'ed bytes.  Error text in p, or NULL. */
static const char *read_file(unsigned char **pdata, apr_size_t *plen, const char *path,
                             apr_pool_t *p)
{
    const char *error = NULL;
    struct stat info;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &info) != 0) {
        char message[120];

        error = apr_pstrdup(p, apr_strerror(APR_FROM_OS_ERROR(errno), message, sizeof(message)));
    }
    else if (!S_ISREG(info.st_mode) || info.st_size > KEYTAB_MAX)
        error = apr_psprintf(p, "it is no file of at most %d bytes", KEYTAB_MAX);
    else if (info.st_mode & S_IRWXO)
        error = "it holds keys and may be read or written by others (chmod o=)";
    else if ((*pdata = calloc(1, (size_t)info.st_size + 1)) == NULL)
        error = "out of memory";
    else if ((n = read(fd, *pdata, (size_t)info.st_size)) < 0)
        error = "it cannot be read";
    else
        *plen = (apr_size_t)n;
    if (fd >= 0)
        close(fd);
    return error;
}

/* Fills keys.  Error text in p, NULL on success. */
static const char *load(ticket_keys_t *keys, krb5_context context, const char *principal,
                        rest_t file, apr_pool_t *p)
{
    krb5_principal wanted = NULL;
    krb5_keytab keytab = NULL;
    const char *error = NULL;
    char name[64];
    krb5_error_code code = krb5_parse_name(context, principal, &wanted);

    if (code)
        return apr_psprintf(p, "principal %s: %s", principal, explained(context, code, p));
    ticket_name(name, sizeof(name));
    code = krb5_unparse_name(context, wanted, &keys->principal);
    if (!code)
        code = krb5_kt_resolve(context, name, &keytab);
    keys->keytab = keytab;
    error = code ? explained(context, code, p) : add_keys(keys, context, wanted, file, p);
    krb5_free_principal(context, wanted);
    return error;
}

const char *ticket_keys_load(ticket_keys_t **pkeys, const char *path, const char *principal,
                             apr_pool_t *p)
{
    ticket_keys_t *keys = calloc(1, sizeof(*keys));
    krb5_context context = NULL;
    krb5_error_code code = krb5_init_context(&context);
    unsigned char *data = NULL;
    apr_size_t len = 0;
    const char *error;
    rest_t file;

    if (code || !keys) {
        error = apr_psprintf(p, "Kerberos cannot be set up: %s", explained(NULL, code, p));
        goto leave;
    }
    error = read_file(&data, &len, path, p);
    if (!error) {
        memset(&file, 0, sizeof(file));
        file.at = data;
        file.len = len;
        error = load(keys, context, principal, file, p);
    }
    if (error)
        error = apr_psprintf(p, "keytab %s: %s", path, error);

leave:
    if (data) {
        OPENSSL_cleanse(data, len);
        free(data);
    }
    krb5_free_context(context);
    if (error) {
        ticket_keys_free(keys);
        keys = NULL;
    }
    *pkeys = keys;
    return error;
}

void ticket_keys_free(ticket_keys_t *keys)
{
    krb5_context context = NULL;

    if (!keys)
        return;
    if ((keys->keytab || keys->principal) && krb5_init_context(&context) == 0) {
        if (keys->keytab)
            krb5_kt_close(context, keys->keytab); /* the last one wipes what is in memory */
        krb5_free_unparsed_name(context, keys->principal);
        krb5_free_context(context);
    }
    free(keys);
}
