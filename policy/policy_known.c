/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "known": the device and the user that a request is for have to be known, and may use its
 * template; phase 2 of a registration point.  docs/policy.md describes the files.
 *
 * It judges no challenge: the policies before it say whose the request is.  A list is read through
 * for each request, so that it may be replaced at any time; one that cannot be read is no yes.
 */
#include "policy_provider.h"
#include "../common/http_client.h"
#include <apr_cstr.h>
#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_LEN 1024 /* bytes of a line, at most */
#define SHOWN 255
#define MASK_OWNER 0400
#define MASK_GROUP 0040
#define MASK_OTHERS 0004

/* The two that a request can be for. */
enum { DEVICE, USER, KINDS };

/* What a list says of a name. */
typedef enum { LISTED, LISTED_NOT, LISTED_OTHERWISE } listed_e;

typedef struct known_policy_t {
    const policy_config_t *cfg;
    const char *file[KINDS]; /* NULL: none */
    int required[KINDS];
    int renewal_by_signer;
} known_policy_t;

static const char *const kinds[KINDS] = {"device", "user"};

static const settings_key_t known_keys[] = {{"require", "device,user", 0},
                                            {"devices", "FILE", 0},
                                            {"users", "FILE", 0},
                                            {"renewal", "known|signer", 0},
                                            {NULL, NULL, 0}};

/* Reads the list "require".  Error text, NULL on success. */
static const char *read_require(known_policy_t *self, const char *list)
{
    apr_size_t len;
    int i;

    while (list) {
        len = strcspn(list, ",");
        for (i = 0; i < KINDS; i++) {
            if (strlen(kinds[i]) == len && strncmp(list, kinds[i], len) == 0)
                break;
        }
        if (i == KINDS || self->required[i])
            return "require: is a list of device and user, each once";
        self->required[i] = 1;
        list = list[len] ? list + len + 1 : NULL;
    }
    return NULL;
}

static const char *known_create(void **pinstance, const settings_t *settings,
                                const policy_config_t *cfg, apr_pool_t *p)
{
    known_policy_t *self = apr_pcalloc(p, sizeof(*self));
    const char *renewal = settings_get(settings, "renewal", "known");
    const char *error = read_require(self, settings_get(settings, "require", NULL));

    self->cfg = cfg;
    self->file[DEVICE] = settings_get(settings, "devices", NULL);
    self->file[USER] = settings_get(settings, "users", NULL);
    self->renewal_by_signer = strcmp(renewal, "signer") == 0;
    *pinstance = self;
    if (error)
        return error;
    if (!self->renewal_by_signer && strcmp(renewal, "known") != 0)
        return "renewal: is known or signer";
    if ((self->file[DEVICE] && !*self->file[DEVICE]) || (self->file[USER] && !*self->file[USER]))
        return "devices, users: a file's name is missing";
    if (!self->required[DEVICE] && !self->required[USER] && !self->file[DEVICE] &&
        !self->file[USER])
        return "one of require, devices and users is needed";
    return NULL;
}

/* Whether a list of templates, separated by commas, holds that one. */
static int has_template(const char *list, const char *template_name)
{
    apr_size_t len;

    for (;;) {
        list += strspn(list, " \t");
        len = strcspn(list, ",");
        while (len > 0 && apr_isspace(list[len - 1]))
            len--;
        if (strlen(template_name) == len && strncmp(list, template_name, len) == 0)
            return 1;
        list += strcspn(list, ",");
        if (!*list++)
            return 0;
    }
}

/*
 * Holds a line against a name and a template.  Several lines of a name add to each other.  name
 * NULL: only whether the line is well-formed.  APR_EINVAL: it is not.
 */
static apr_status_t read_line(listed_e *listed, char *line, const char *name,
                              const char *template_name)
{
    apr_size_t len = strlen(line);
    char *comma;

    if (len + 1 >= LINE_LEN && line[len - 1] != '\n')
        return APR_EINVAL;
    while (len > 0 && apr_isspace(line[len - 1]))
        line[--len] = '\0';
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return APR_SUCCESS;
    comma = strchr(line, ',');
    if (comma)
        *comma = '\0';
    for (len = strlen(line); len > 0 && apr_isspace(line[len - 1]); len--)
        line[len - 1] = '\0';
    if (!*line)
        return APR_EINVAL;
    if (name && apr_cstr_casecmp(line, name) == 0 && *listed != LISTED)
        *listed = !comma || has_template(comma + 1, template_name) ? LISTED : LISTED_OTHERWISE;
    return APR_SUCCESS;
}

/*
 * Reads a list through.  name NULL: only to check it.  Error text in p for one that cannot be
 * read, NULL on success.
 */
static const char *read_list(listed_e *listed, const char *path, const char *name,
                             const char *template_name, apr_pool_t *p)
{
    char line[LINE_LEN], message[120];
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BUFFERED, 0, p);
    int number = 0;

    *listed = LISTED_NOT;
    if (rv != APR_SUCCESS)
        return apr_psprintf(p, "%s: %s", path, apr_strerror(rv, message, sizeof(message)));
    while (*listed != LISTED && (rv = apr_file_gets(line, sizeof(line), file)) == APR_SUCCESS) {
        number++;
        rv = read_line(listed, line, name, template_name);
        if (rv != APR_SUCCESS)
            break;
    }
    apr_file_close(file);
    if (rv == APR_EINVAL)
        return apr_psprintf(p, "%s, line %d: is not NAME or NAME,TEMPLATE,... of at most %d bytes",
                            path, number, LINE_LEN - 2);
    if (rv != APR_SUCCESS && rv != APR_EOF)
        return apr_psprintf(p, "%s: %s", path, apr_strerror(rv, message, sizeof(message)));
    return NULL;
}

static const char *known_check(const void *instance, apr_pool_t *p)
{
    const known_policy_t *self = instance;
    const char *error = NULL;
    listed_e listed;
    int i;

    for (i = 0; !error && i < KINDS; i++) {
        if (self->file[i])
            error = read_list(&listed, self->file[i], NULL, "", p);
    }
    return error;
}

/* Whether the children, which are of uid and gid, may read a file.  Error text in p if not. */
static const char *check_rights(const char *path, uid_t uid, gid_t gid, apr_pool_t *p)
{
    struct stat info;
    mode_t needed;
    char message[120];

    if (stat(path, &info) != 0)
        return apr_psprintf(p, "%s: %s", path,
                            apr_strerror(APR_FROM_OS_ERROR(errno), message, sizeof(message)));
    needed = info.st_uid == uid ? MASK_OWNER : info.st_gid == gid ? MASK_GROUP : MASK_OTHERS;
    if (uid == 0 || info.st_mode & needed)
        return NULL;
    return apr_psprintf(p, "%s: cannot be read by the server's user", path);
}

static const char *known_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    const known_policy_t *self = instance;
    const char *error = known_check(instance, p);
    int i;

    for (i = 0; !error && i < KINDS; i++) {
        if (self->file[i])
            error = check_rights(self->file[i], uid, gid, p);
    }
    return error;
}

/* Sets out for a list that cannot be read, and logs it. */
static apr_status_t unavailable(const known_policy_t *self, const char *error, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    log_to(log, LOG_SINK_ERR, SCEPTAG(0294), "service '%s': who is known cannot be read: %s",
           self->cfg->service, error);
    outcome_unavailable(out, "known", POLICY_STORE_RETRY, p, "%s", error);
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

/* Whether the device or user (kind) may have the request's template; name NULL: nobody is named. */
static apr_status_t check_name(const known_policy_t *self, int kind, const char *name,
                               const char *template_name, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    const char *error, *shown;
    listed_e listed = LISTED;

    if (!self->required[kind] && !self->file[kind])
        return APR_SUCCESS;
    if (!name)
        return policy_refuse_owner(out, kind ? "user-missing" : "device-missing", p,
                                   apr_psprintf(p, "no %s is named", kinds[kind]));
    error = self->file[kind] ? read_list(&listed, self->file[kind], name, template_name, p) : NULL;
    if (error)
        return unavailable(self, error, out, log, p);
    if (listed == LISTED)
        return APR_SUCCESS;
    shown = http_printable(name, SHOWN, p);
    if (listed == LISTED_NOT)
        return policy_refuse_owner(out, kind ? "user-unknown" : "device-unknown", p,
                                   apr_psprintf(p, "%s \"%s\" is not known", kinds[kind], shown));
    return policy_refuse_owner(out, kind ? "user-template" : "device-template", p,
                               apr_psprintf(p, "%s \"%s\" may not use template %s", kinds[kind],
                                            shown, template_name));
}

static apr_status_t known_verify(void *instance, const policy_tx_t *tx,
                                 policy_attributes_t *attributes, outcome_t *out,
                                 const log_sink_t *log, apr_pool_t *p)
{
    const known_policy_t *self = instance;
    const char *template_name = tx->gathered && tx->gathered->template_name
                                    ? tx->gathered->template_name : tx->request->template_name;
    const char *name[KINDS] = {policy_device_of(tx), policy_user_of(tx)};
    apr_status_t rv = APR_SUCCESS;
    int i;

    (void)attributes;
    if (tx->request->signer && self->renewal_by_signer && !name[DEVICE] && !name[USER])
        return APR_SUCCESS;
    for (i = 0; rv == APR_SUCCESS && i < KINDS; i++)
        rv = check_name(self, i, name[i], template_name, out, log, p);
    return rv;
}

const policy_provider_t policy_known = {.name = "known",
                                        .keys = known_keys,
                                        .follows = 1,
                                        .create = known_create,
                                        .check = known_check,
                                        .prepare = known_prepare,
                                        .verify = known_verify};
