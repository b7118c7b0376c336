/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the directives mean: words into scep_props_t.  A mistake that one line alone shows is found
 * here; what needs several lines or a file's content is found in mod_scep_check.c.
 */
#include "mod_scep_directive.h"
#include "core/caps.h"
#include <ap_provider.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>

#define PROVIDER_VERSIONS 100 /* so many are looked for under a name that this version lacks */

APLOG_USE_MODULE(scep);

const char *scep_scope(cmd_parms *cmd, const char *label, int repeatable, scep_props_t **pprops)
{
    scep_server_conf_t *sc = scep_server_conf(cmd->server);
    scep_props_t *props = sc->current ? &sc->current->props : &sc->props;
    const char *before = apr_table_get(props->where, label);
    const char *key = apr_pstrdup(cmd->pool, label);
    int i;

    *pprops = props;
    if (before && !repeatable) {
        return apr_psprintf(cmd->pool, "%s was already given at %s", label, before);
    }
    for (i = 2; before; i++) { /* the nth line of one that may be repeated */
        key = apr_psprintf(cmd->pool, "%s#%d", label, i);
        before = apr_table_get(props->where, key);
    }
    apr_table_setn(
        props->where, key,
        apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num));
    return NULL;
}

const char *scep_complain(cmd_parms *cmd, const char *text)
{
    return apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, text);
}

const char *scep_absolute(cmd_parms *cmd, const char *arg)
{
    return *arg ? ap_server_root_relative(cmd->pool, arg) : NULL;
}

void *scep_member(scep_props_t *props, apr_size_t offset)
{
    return (char *)props + offset;
}

apr_array_header_t *scep_own_list(const apr_array_header_t **plist, int size, apr_pool_t *p)
{
    apr_array_header_t *list = *plist ? apr_array_copy(p, *plist) : apr_array_make(p, 2, size);

    *plist = list;
    return list;
}

const char *scep_set_path(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    const char *probe;
    apr_size_t len = strlen(arg), i;

    (void)dummy;
    if (err) {
        return err;
    }
    while (len && arg[len - 1] == '/') {
        len--;
    }
    for (i = 0; i < len; i++) {
        if (!apr_isalnum(arg[i]) && !ap_strchr_c("/-_.~", arg[i])) {
            return scep_complain(cmd, "only letters, digits and /-_.~ are possible in the path");
        }
    }
    props->path = apr_pstrmemdup(cmd->pool, arg, len);
    probe = apr_pstrcat(cmd->temp_pool, props->path, "/", NULL);
    if (*arg != '/' || strstr(probe, "//") || strstr(probe, "/./") || strstr(probe, "/../")) {
        return scep_complain(cmd,
                             "a path that begins with '/' is needed, without empty, '.' and '..' "
                             "segments");
    }
    return NULL;
}

const char *scep_set_text(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (!err) {
        *(const char **)scep_member(props, (apr_size_t)cmd->info) = arg;
    }
    return err;
}

const char *scep_set_file(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    const char *file = scep_absolute(cmd, arg);
    apr_size_t len;

    (void)dummy;
    if (err) {
        return err;
    }
    if (!file) {
        return scep_complain(cmd, "not a file name");
    }
    for (len = strlen(file); len > 1 && file[len - 1] == '/'; len--) {
        continue;
    }
    *(const char **)scep_member(props, (apr_size_t)cmd->info) =
        apr_pstrmemdup(cmd->pool, file, len);
    return NULL;
}

const char *scep_set_flag(cmd_parms *cmd, void *dummy, int value)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (!err) {
        *(apr_int64_t *)scep_member(props, (apr_size_t)cmd->info) = value ? 1 : 0;
    }
    return err;
}

const char *scep_parse_number(apr_int64_t *value, const char *arg, int size)
{
    char *end;
    apr_int64_t factor = 1;

    errno = 0;
    *value = apr_strtoi64(arg, &end, 10);
    if (size && (*end == 'k' || *end == 'K')) {
        factor = 1024;
        end++;
    }
    else if (size && (*end == 'm' || *end == 'M')) {
        factor = 1024 * 1024;
        end++;
    }
    if (errno || end == arg || *end || !apr_isdigit(*arg) || *value > APR_INT64_MAX / factor) {
        return size ? "a number of bytes is needed, such as 65536 or 64k" : "a number is needed";
    }
    *value *= factor;
    return NULL;
}

/* A value of a range for people. */
static const char *show(const scep_range_t *range, apr_int64_t value, apr_pool_t *p)
{
    return range->kind == SCEP_VALUE_DURATION
               ? apr_psprintf(p, "%" APR_INT64_T_FMT "s", apr_time_sec(value))
               : apr_psprintf(p, "%" APR_INT64_T_FMT, value);
}

const char *scep_set_range(cmd_parms *cmd, void *dummy, const char *arg)
{
    const scep_range_t *range = cmd->info;
    scep_props_t *props;
    apr_int64_t value = 0;
    apr_interval_time_t duration = 0;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (range->kind == SCEP_VALUE_DURATION) {
        err = settings_duration(arg, &duration, cmd->pool);
        value = duration;
    }
    else {
        err = scep_parse_number(&value, arg, range->kind == SCEP_VALUE_SIZE);
    }
    if (err) {
        return scep_complain(cmd, err);
    }
    if (value < range->min || value > range->max) {
        return apr_psprintf(cmd->pool, "%s: %s is not between %s and %s", cmd->cmd->name, arg,
                            show(range, range->min, cmd->pool), show(range, range->max, cmd->pool));
    }
    *(apr_int64_t *)scep_member(props, range->offset) = value;
    return NULL;
}

/* The names in a provider group, for messages. */
static const char *known(const char *group, apr_pool_t *p)
{
    apr_array_header_t *names = ap_list_provider_names(p, group, SCEP_PROVIDER_VERSION);
    const char *text = "";
    int i;

    for (i = 0; i < names->nelts; i++) {
        text = apr_pstrcat(p, text, i ? ", " : "",
                           APR_ARRAY_IDX(names, i, ap_list_provider_names_t).provider_name, NULL);
    }
    return text;
}

const char *scep_set_store(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    const char *colon = ap_strchr_c(arg, ':');
    const char *scheme = colon ? apr_pstrmemdup(cmd->pool, arg, colon - arg) : arg;
    const char *at = colon ? ap_strrchr_c(colon, '@') : NULL;
    const char *c;

    (void)dummy;
    if (err) {
        return err;
    }
    if (!colon || !ap_lookup_provider(SCEP_STORE_GROUP, scheme, SCEP_PROVIDER_VERSION)) {
        return apr_psprintf(cmd->pool, "%s: unknown kind of store '%s'; known are: %s",
                            cmd->cmd->name, colon ? scheme : "(no URL)",
                            known(SCEP_STORE_GROUP, cmd->pool));
    }
    for (c = colon + 1; at && c < at; c++) {
        if (*c == ':') { /* the message must not repeat it */
            return scep_complain(
                cmd, "a password does not belong into the URL; use ScepStorePasswordFile");
        }
    }
    props->store_url = arg;
    return NULL;
}

/* Reads a time limit of the store; what is wrong with it, NULL on success. */
static const char *store_span(cmd_parms *cmd, const char *text, apr_int64_t *span)
{
    apr_interval_time_t value;
    const char *err = settings_duration(text, &value, cmd->pool);

    if (err) {
        return scep_complain(cmd, err);
    }
    if (value < apr_time_from_msec(1) || value > apr_time_from_sec(60)) {
        return scep_complain(cmd, "times between 1ms and 60s are possible");
    }
    *span = value;
    return NULL;
}

const char *scep_set_store_timeout(cmd_parms *cmd, void *dummy, const char *connect,
                                   const char *command, const char *relocate)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (!err) {
        err = store_span(cmd, connect, &props->store_connect_timeout);
    }
    if (!err) {
        err = store_span(cmd, command, &props->store_command_timeout);
    }
    if (!err && relocate) {
        err = store_span(cmd, relocate, &props->store_relocate_timeout);
    }
    return err;
}

const char *scep_set_store_wait(cmd_parms *cmd, void *dummy, const char *replicas,
                                const char *span)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    char *end;

    (void)dummy;
    if (err) {
        return err;
    }
    props->store_wait_replicas = apr_strtoi64(replicas, &end, 10);
    if (end == replicas || *end || props->store_wait_replicas < 0 ||
        props->store_wait_replicas > STORE_REPLICAS_MAX) {
        return scep_complain(cmd,
                             "the number of replicas is 0 to " APR_STRINGIFY(STORE_REPLICAS_MAX));
    }
    return span ? store_span(cmd, span, &props->store_wait_time) : NULL;
}

/* FILE [KEY] as absolute names; the key is in the certificate's file if none is given. */
static const char *keyfile(cmd_parms *cmd, scep_keyfile_t *pair, const char *cert, const char *key)
{
    if (!ap_cstr_casecmpn(cert, "pkcs11:", 7) || (key && !ap_cstr_casecmpn(key, "pkcs11:", 7))) {
        return scep_complain(cmd, "pkcs11: is not supported by this version; a PEM file is needed");
    }
    pair->cert = scep_absolute(cmd, cert);
    pair->key = key ? scep_absolute(cmd, key) : pair->cert;
    return pair->cert && pair->key ? NULL : scep_complain(cmd, "not a file name");
}

const char *scep_add_keyfile(cmd_parms *cmd, void *dummy, const char *cert, const char *key)
{
    scep_props_t *props;
    scep_keyfile_t pair;
    const char *err = scep_scope(cmd, cmd->cmd->name, 1, &props);
    const apr_array_header_t **list;

    (void)dummy;
    if (!err) {
        err = keyfile(cmd, &pair, cert, key);
    }
    if (!err) {
        list = scep_member(props, (apr_size_t)cmd->info);
        APR_ARRAY_PUSH(scep_own_list(list, sizeof(pair), cmd->pool), scep_keyfile_t) = pair;
    }
    return err;
}

/* The option with its file name made absolute where the provider's table says that it is a file. */
static const char *absolute_option(cmd_parms *cmd, const settings_key_t *keys, const char *word)
{
    const char *equals = ap_strchr_c(word, '=');
    const char *path;

    for (; equals && equals[1] && keys && keys->name; keys++) {
        if (strlen(keys->name) == (apr_size_t)(equals - word) &&
            !strncmp(keys->name, word, equals - word) && keys->help &&
            !strncmp(keys->help, "FILE", 4) && ap_cstr_casecmpn(equals + 1, "pkcs11:", 7)) {
            path = scep_absolute(cmd, equals + 1);
            return path ? apr_pstrcat(cmd->pool, keys->name, "=", path, NULL) : word;
        }
    }
    return word;
}

/* Why there is no provider NAME in a group: error text. */
static const char *unknown_provider(cmd_parms *cmd, const char *group, const char *name)
{
    int version;

    for (version = 0; version < PROVIDER_VERSIONS; version++) {
        const char *other = apr_itoa(cmd->temp_pool, version);

        if (strcmp(other, SCEP_PROVIDER_VERSION) && ap_lookup_provider(group, name, other)) {
            return apr_psprintf(cmd->pool, "%s: the module that brings '%s' was built for version "
                                "%s of mod_scep's headers, this is version " SCEP_PROVIDER_VERSION
                                ": it has to be built again", cmd->cmd->name, name, other);
        }
    }
    return apr_psprintf(cmd->pool, "%s: unknown name '%s'; known are: %s", cmd->cmd->name, name,
                        known(group, cmd->pool));
}

/* Finds NAME in its group and keeps the options; error text or NULL. */
static const char *provider_words(cmd_parms *cmd, const char *group, int argc, char *const argv[],
                                  const settings_key_t *(*keys)(const void *provider),
                                  scep_words_t *words)
{
    const char **copy;
    int i;

    if (argc < 1) {
        return apr_psprintf(cmd->pool, "%s: a name is needed; known are: %s", cmd->cmd->name,
                            known(group, cmd->pool));
    }
    words->name = argv[0];
    words->provider = ap_lookup_provider(group, argv[0], SCEP_PROVIDER_VERSION);
    if (!words->provider) {
        return unknown_provider(cmd, group, argv[0]);
    }
    copy = apr_pcalloc(cmd->pool, sizeof(*copy) * argc);
    for (i = 1; i < argc; i++) {
        copy[i - 1] = absolute_option(cmd, keys(words->provider), argv[i]);
    }
    words->argc = argc - 1;
    words->argv = copy;
    return NULL;
}

static const settings_key_t *ca_own_keys(const void *provider)
{
    return ((const ca_provider_t *)provider)->keys;
}

static const settings_key_t *policy_keys(const void *provider)
{
    return ((const policy_provider_t *)provider)->keys;
}

/* Error text when the options do not fit the provider's table, or NULL. */
static const char *try_options(cmd_parms *cmd, const settings_key_t *keys,
                               const scep_words_t *words)
{
    settings_t *ignored;
    const char *err =
        keys ? settings_parse(&ignored, keys, words->argc, words->argv, cmd->temp_pool) : NULL;

    return err ? apr_psprintf(cmd->pool, "%s %s: %s", cmd->cmd->name, words->name, err) : NULL;
}

const char *scep_set_ca(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    scep_props_t *props;
    scep_words_t *words = apr_pcalloc(cmd->pool, sizeof(*words));
    const ca_provider_t *provider;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (!err) {
        err = provider_words(cmd, SCEP_CA_GROUP, argc, argv, ca_own_keys, words);
    }
    if (err) {
        return err;
    }
    provider = words->provider;
    if (!provider->create || !provider->submit) {
        return scep_complain(cmd, "this backend cannot sign");
    }
    props->ca = words;
    return try_options(cmd, ca_keys(provider, cmd->temp_pool), words);
}

const char *scep_add_policy(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    scep_props_t *props;
    scep_words_t words;
    const policy_provider_t *provider;
    const char *err = scep_scope(cmd, cmd->cmd->name, 1, &props);

    (void)dummy;
    if (!err) {
        err = provider_words(cmd, SCEP_POLICY_GROUP, argc, argv, policy_keys, &words);
    }
    if (err) {
        return err;
    }
    provider = words.provider;
    if (!provider->verify && !provider->reserve) {
        return scep_complain(cmd, "this provider cannot decide about a request");
    }
    APR_ARRAY_PUSH(scep_own_list(&props->policies, sizeof(words), cmd->pool), scep_words_t) = words;
    return try_options(cmd, provider->keys, &words);
}

const char *scep_set_template(cmd_parms *cmd, void *dummy, const char *usage, const char *name)
{
    scep_props_t *props;
    const char *err =
        scep_scope(cmd, apr_psprintf(cmd->temp_pool, "%s %s", cmd->cmd->name, usage), 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (!*name || strlen(name) > 64) {
        return scep_complain(cmd, "a template's name has 1 to 64 characters");
    }
    if (!ap_cstr_casecmp(usage, "signature")) {
        props->template_signature = name;
    }
    else if (!ap_cstr_casecmp(usage, "encryption")) {
        props->template_encryption = name;
    }
    else if (!ap_cstr_casecmp(usage, "general")) {
        props->template_general = name;
    }
    else {
        return scep_complain(cmd, "the first word is signature, encryption or general");
    }
    return NULL;
}

const char *scep_add_local_template(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    scep_props_t *props;
    const ca_template_t *made = NULL;
    const char *err;

    (void)dummy;
    if (argc < 1) {
        return scep_complain(cmd, "a name is needed");
    }
    err =
        scep_scope(cmd, apr_psprintf(cmd->temp_pool, "%s %s", cmd->cmd->name, argv[0]), 0, &props);
    if (!err) {
        err = ca_template_make(&made, argv[0], argc - 1, (const char *const *)argv + 1, cmd->pool);
        err = err ? apr_psprintf(cmd->pool, "%s %s: %s", cmd->cmd->name, argv[0], err) : NULL;
    }
    if (!err) {
        APR_ARRAY_PUSH(scep_own_list(&props->local_templates, sizeof(made), cmd->pool),
                       const ca_template_t *) = made;
    }
    return err;
}

const char *scep_set_capabilities(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    const char *c;
    int i;

    (void)dummy;
    if (err) {
        return err;
    }
    if (argc < 1) {
        return scep_complain(cmd, "at least one keyword is needed");
    }
    for (i = 0; i < argc; i++) {
        for (c = argv[i]; apr_isalnum(*c) || *c == '-' || *c == '.'; c++) {
            continue;
        }
        if (!*argv[i] || *c) {
            return scep_complain(cmd, "a keyword has letters, digits, '-' and '.'");
        }
        props->capabilities =
            i ? apr_pstrcat(cmd->pool, props->capabilities, "\n", argv[i], NULL) : argv[i];
    }
    err = scep_caps_check(props->capabilities, cmd->pool);
    return err ? scep_complain(cmd, err) : NULL;
}
