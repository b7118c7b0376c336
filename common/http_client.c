/* SPDX-License-Identifier: Apache-2.0 */
/* A call over HTTP: which URL, which connection, and what came back; see http_client.h. */
#include "clock.h"
#include "http_client_state.h"
#include <apr_atomic.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX (64 * 1024)
#define ERROR_MAX 300
#define RETRY_AFTER_MAX 3600
#define HEADER_MAX 8000 /* bytes of a kept header */
#define IDLE_MAX 2L     /* seconds after which what may not arrive twice gets a new connection */
#define IDLE_MAX_TWICE 118L /* libcurl's default */

/* One try. */
typedef struct try_t {
    const http_client_t *client;
    http_answer_t *answer;
    apr_pool_t *p;
    char *body;
    apr_size_t len, size, headers;
    int too_large;
    int sent; /* whether anything of the request may have reached the peer */
    int once; /* the request may not arrive twice */
    int spared; /* by HTTP_END_QUESTIONS */
    int cut;  /* libcurl was kept from sending it again */
    int begun, heard;  /* whether it was begun before; whether an answer came to that */
    int fresh;         /* it was begun on a connection that had no request before */
    long connects;     /* how many libcurl had made by then */
    CURL *curl;
    apr_interval_time_t given; /* the peer's time */
    int unfair; /* the peer was not asked */
} try_t;

/* Which calls have to end, http_end_e; of the whole process. */
static volatile apr_uint32_t ending;

void http_client_end_calls(http_end_e which)
{
    apr_atomic_set32(&ending, which);
}

int http_client_is_ending(void)
{
    return apr_atomic_read32(&ending) != HTTP_END_NONE;
}

/* Whether a try has to end. */
static int must_end(const try_t *try)
{
    return apr_atomic_read32(&ending) > (try->spared ? HTTP_END_QUESTIONS : HTTP_END_NONE);
}

/* libcurl's callback, once a second and more often: not 0 ends the transfer. */
static int look(void *baton, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                curl_off_t up)
{
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    return must_end(baton);
}

/* libcurl's callback: appends to the body; less than n ends the transfer. */
static size_t take_body(char *data, size_t one, size_t n, void *baton)
{
    try_t *try = baton;
    char *grown;

    (void)one;
    if (n > try->client->options.body_max - try->len) {
        try->too_large = 1;
        return 0;
    }
    if (try->len + n >= try->size) {
        try->size = 2 * (try->len + n) + 1024;
        grown = apr_palloc(try->p, try->size);
        if (try->len)
            memcpy(grown, try->body, try->len);
        try->body = grown;
    }
    memcpy(try->body + try->len, data, n);
    try->len += n;
    return n;
}

/*
 * libcurl's callback before each sending of the request: on a kept connection that dies without an
 * answer it would send it once more by itself.
 */
static int begin(void *baton, char *to, char *from, int to_port, int from_port)
{
    try_t *try = baton;
    long bytes = 1, connects = 0;

    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    if (try->once && try->begun && !try->heard &&
        (curl_easy_getinfo(try->curl, CURLINFO_REQUEST_SIZE, &bytes) != CURLE_OK || bytes > 0)) {
        try->cut = 1;
        return CURL_PREREQFUNC_ABORT;
    }
    try->fresh = curl_easy_getinfo(try->curl, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK &&
                 connects > try->connects;
    try->connects = connects;
    try->begun = 1;
    try->heard = 0;
    return CURL_PREREQFUNC_OK;
}

/* libcurl's callback: bounds the headers. */
static size_t take_header(char *data, size_t one, size_t n, void *baton)
{
    try_t *try = baton;

    (void)data;
    (void)one;
    try->heard = 1;
    try->headers += n;
    if (try->headers > HEADERS_MAX) {
        try->too_large = 1;
        return 0;
    }
    return n;
}

/* Closes a handle, its connection with it; NULL is allowed.  The mutex must be held. */
static void close_handle(http_handle_t *handle)
{
    if (!handle)
        return;
    curl_easy_cleanup(handle->curl);
    http_files_drop(handle->credentials);
    free(handle);
}

/* Gives libcurl a file's content; 0 when it does not take it. */
static int set_blob(CURL *curl, CURLoption option, const http_credentials_t *credentials, int file)
{
    struct curl_blob blob;

    if (!credentials->data[file])
        return 1;
    blob.data = credentials->data[file];
    blob.len = credentials->len[file];
    blob.flags = CURL_BLOB_NOCOPY; /* the handle keeps the credentials */
    return curl_easy_setopt(curl, option, &blob) == CURLE_OK;
}

/* Sets what every call of a handle has; 0 when libcurl does not take it. */
static int set_up(CURL *curl, const http_options_t *options, const http_credentials_t *credentials)
{
    const char *proxy = credentials->data[HTTP_FILE_PROXY];
    int bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(curl, option, value) != CURLE_OK
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_PROXY, options->proxy ? options->proxy : ""); /* "": not the environment's */
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, "mod_scep");
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_PREREQFUNCTION, begin);
    SET(CURLOPT_XFERINFOFUNCTION, look);
    SET(CURLOPT_NOPROGRESS, 0L);
    if (options->keytab) { /* the ticket is the thread's, and nobody's to pass on */
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_NEGOTIATE);
        SET(CURLOPT_USERNAME, "");
        SET(CURLOPT_GSSAPI_DELEGATION, (long)CURLGSSAPI_DELEGATION_NONE);
    }
    if (proxy) { /* Basic, libcurl's default: never in a URL, which messages show */
        SET(CURLOPT_PROXYUSERNAME, proxy);
        SET(CURLOPT_PROXYPASSWORD, proxy + strlen(proxy) + 1);
    }
    /* a CA file stands alone: libcurl would go on trusting its built-in directory */
    if (credentials->data[0])
        SET(CURLOPT_CAPATH, NULL);
#undef SET
    return !bad && set_blob(curl, CURLOPT_CAINFO_BLOB, credentials, 0) &&
           set_blob(curl, CURLOPT_SSLCERT_BLOB, credentials, 1) &&
           set_blob(curl, CURLOPT_SSLKEY_BLOB, credentials, 2);
}

/* An idle handle with today's credentials, or a new one; NULL: none can be made. */
static http_handle_t *take_handle(http_client_t *client)
{
    http_handle_t *handle;
    int good;

    apr_thread_mutex_lock(client->mutex);
    while ((handle = client->idle) != NULL) {
        client->idle = handle->next;
        if (handle->credentials == client->credentials)
            break;
        close_handle(handle);
    }
    if (!handle && (handle = calloc(1, sizeof(*handle))) != NULL) {
        handle->credentials = client->credentials;
        handle->credentials->users++;
    }
    apr_thread_mutex_unlock(client->mutex);
    if (!handle || handle->curl)
        return handle;
    handle->curl = curl_easy_init();
    good = handle->curl && set_up(handle->curl, &client->options, handle->credentials);
    if (good)
        return handle;
    apr_thread_mutex_lock(client->mutex);
    close_handle(handle);
    apr_thread_mutex_unlock(client->mutex);
    return NULL;
}

/* Keeps a handle for the next call, or closes it. */
static void give_back(http_client_t *client, http_handle_t *handle, int keep)
{
    apr_thread_mutex_lock(client->mutex);
    if (keep) {
        handle->next = client->idle;
        client->idle = handle;
    }
    else {
        close_handle(handle);
    }
    apr_thread_mutex_unlock(client->mutex);
}

/* The request's headers; NULL when there is no memory. */
static struct curl_slist *make_headers(const http_request_t *request, apr_pool_t *p)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer = list;
    const char *const *header;

    if (list && request->content_type)
        longer = curl_slist_append(
            list, apr_pstrcat(p, "Content-Type: ", request->content_type, NULL));
    for (header = request->headers; longer && header && *header; header++) {
        list = longer;
        longer = curl_slist_append(list, *header);
    }
    if (!longer)
        curl_slist_free_all(list);
    return longer;
}

/* A URL or path and the request's path (NULL: none), with one slash between them. */
static const char *joined(const char *base, const char *path, apr_pool_t *p)
{
    apr_size_t len = strlen(base);

    if (path && *path == '/' && len > 0 && base[len - 1] == '/')
        path++;
    return apr_pstrcat(p, base, path, NULL);
}

/* Sets what is this call's; 0 when libcurl does not take it. */
static int set_call(CURL *curl, const http_client_t *client, const http_base_t *base,
                    const http_request_t *request, try_t *try, apr_interval_time_t left)
{
    long all = left < 1000 ? 1 : (long)(left / 1000); /* 0 would be for ever */
    long connect = (long)(client->options.connect_timeout / 1000) + 1;
    const char *url = apr_pstrcat(try->p, joined(base->url, request->path, try->p), base->query,
                                  NULL);
    int bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(curl, option, value) != CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_UNIX_SOCKET_PATH, base->socket);
    SET(CURLOPT_TIMEOUT_MS, all);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect < all ? connect : all);
    SET(CURLOPT_WRITEDATA, try);
    SET(CURLOPT_XFERINFODATA, try);
    SET(CURLOPT_HEADERDATA, try);
    SET(CURLOPT_PREREQDATA, try);
    SET(CURLOPT_MAXAGE_CONN, request->idempotent ? IDLE_MAX_TWICE : IDLE_MAX);
    if (request->body.data) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        SET(CURLOPT_POSTFIELDS, (const char *)request->body.data);
    }
    else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    SET(CURLOPT_CUSTOMREQUEST, request->method);
#undef SET
    return !bad;
}

/* Keeps the headers that the caller wants. */
static void keep_headers(CURL *curl, const char *prefix, try_t *try)
{
    apr_table_t *kept = apr_table_make(try->p, 4);
    struct curl_header *header = NULL;
    char *value, *end;
    int n = 0;

    while (prefix && n < HTTP_KEPT_MAX &&
           (header = curl_easy_nextheader(curl, CURLH_HEADER, -1, header)) != NULL) {
        if (strncasecmp(header->name, prefix, strlen(prefix)) != 0)
            continue;
        value = apr_pstrdup(try->p, http_printable(header->value, HEADER_MAX, try->p));
        for (end = value + strlen(value); end > value && end[-1] == ' '; end--)
            end[-1] = '\0'; /* libcurl leaves the CR of an empty one */
        apr_table_addn(kept, apr_pstrdup(try->p, header->name), value);
        n++;
    }
    try->answer->headers = kept;
}

/* Takes over what came. */
static void take_answer(CURL *curl, const http_request_t *request, try_t *try)
{
    http_answer_t *answer = try->answer;
    char *type = NULL;
    curl_off_t wait = 0;
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait);
    answer->status = (int)status;
    answer->content_type = type ? http_printable(type, 100, try->p) : "";
    if (wait > 0)
        answer->retry_after = apr_time_from_sec(wait < RETRY_AFTER_MAX ? wait : RETRY_AFTER_MAX);
    if (try->body)
        try->body[try->len] = '\0';
    answer->body.data = (const unsigned char *)(try->body ? try->body : "");
    answer->body.len = try->len;
    keep_headers(curl, request->keep_headers, try);
}

/*
 * Whether the peer refused our certificate: with TLS 1.3 it does when the handshake is over for us,
 * so the request was on its way.  Any other alert, and any on a connection that had a request
 * before, may follow one that was read.
 */
static int is_refusal(const try_t *try, CURLcode code, const char *text)
{
    /* as OpenSSL's reasons end, whatever version they name (RFC 8446 section 6.2) */
    static const char *const alerts[] = {
        " alert bad certificate", " alert unsupported certificate", " alert certificate revoked",
        " alert certificate expired", " alert certificate unknown", " alert certificate required",
        " alert unknown ca", " alert access denied", " alert handshake failure"};
    size_t i;

    if ((code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR) || !try->fresh || try->heard ||
        !strstr(text, "SSL routines"))
        return 0;
    for (i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        if (strstr(text, alerts[i]))
            return 1;
    }
    return 0;
}

/* Where a try failed. */
static http_failure_e failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return HTTP_FAILURE_NAME;
    case CURLE_COULDNT_CONNECT: return HTTP_FAILURE_CONNECT;
    case CURLE_OPERATION_TIMEDOUT: return HTTP_FAILURE_TIME;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED: return HTTP_FAILURE_TLS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: return HTTP_FAILURE_CUT;
    default: return HTTP_FAILURE_OTHER;
    }
}

/*
 * Whether libcurl could not even connect to send once more what may have arrived before: begin()
 * is not asked then.
 */
static int is_second_attempt(const try_t *try, CURLcode code)
{
    http_failure_e failure = failure_of(code);

    return try->once && try->begun && !try->heard && try->sent &&
           (failure == HTTP_FAILURE_NAME || failure == HTTP_FAILURE_CONNECT ||
            failure == HTTP_FAILURE_TLS);
}

/* The status of a try that failed; sets the error's text. */
static apr_status_t failed(CURL *curl, CURLcode code, const char *text, try_t *try)
{
    http_answer_t *answer = try->answer;
    long bytes = 1;

    if (curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &bytes) != CURLE_OK)
        bytes = 1;
    try->sent = bytes > 0;
    answer->error = http_printable(*text ? text : curl_easy_strerror(code), ERROR_MAX, try->p);
    answer->failure = try->too_large                  ? HTTP_FAILURE_OTHER
                      : is_refusal(try, code, text) ? HTTP_FAILURE_TLS
                                                    : failure_of(code);
    if (must_end(try))
        answer->error = "this process ends";
    if (try->cut || is_second_attempt(try, code)) {
        answer->error = "the connection ended before an answer came";
        answer->failure = HTTP_FAILURE_CUT;
    }
    if (try->too_large) {
        answer->error = apr_psprintf(try->p, "the answer is larger than %" APR_SIZE_T_FMT " bytes",
                                     try->client->options.body_max);
        return APR_ENOSPC;
    }
    return code == CURLE_OPERATION_TIMEDOUT ? APR_TIMEUP : APR_ECONNREFUSED;
}

/* Tries one URL. */
static apr_status_t try_once(http_client_t *client, const http_base_t *base,
                             const http_request_t *request, try_t *try, apr_interval_time_t left)
{
    http_handle_t *handle = take_handle(client);
    struct curl_slist *headers = make_headers(request, try->p);
    char text[CURL_ERROR_SIZE] = "";
    apr_status_t rv = APR_SUCCESS;
    CURLcode code = CURLE_OUT_OF_MEMORY;

    try->answer->peer = base->peer;
    try->answer->path = joined(base->path, request->path, try->p);
    try->answer->failure = HTTP_FAILURE_OTHER;
    if (!handle || !headers) {
        try->answer->error = "libcurl cannot be set up";
        rv = APR_EGENERAL;
    }
    else {
        try->curl = handle->curl;
        try->once = !request->idempotent;
        curl_easy_setopt(handle->curl, CURLOPT_ERRORBUFFER, text);
        if (curl_easy_setopt(handle->curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
            set_call(handle->curl, client, base, request, try, left))
            code = curl_easy_perform(handle->curl);
        if (code == CURLE_OK)
            take_answer(handle->curl, request, try);
        else
            rv = failed(handle->curl, code, text, try);
        curl_easy_setopt(handle->curl, CURLOPT_ERRORBUFFER, NULL);
        curl_easy_setopt(handle->curl, CURLOPT_HTTPHEADER, NULL);
    }
    curl_slist_free_all(headers);
    if (handle)
        give_back(client, handle, rv == APR_SUCCESS);
    return rv;
}

/*
 * Tries one URL with the ticket that it needs.  What the KDC took of the time is not the peer's,
 * and nothing is sent that has to be cut off.
 */
static apr_status_t try_with_ticket(http_client_t *client, int n, const http_request_t *request,
                                    try_t *try, apr_time_t end, const log_sink_t *log)
{
    const http_base_t *base = &client->base[n];
    apr_interval_time_t least = client->options.connect_timeout;
    http_answer_t *answer = try->answer;
    http_ticket_cache_t *lease;
    apr_status_t rv;

    if (least > try->given / 2)
        least = try->given / 2;
    rv = http_ticket_borrow(&lease, client->ticket, n, end, &answer->error, log, try->p);
    if (rv == APR_SUCCESS) {
        try->given = end - clock_monotonic();
        if (try->given > least)
            rv = try_once(client, base, request, try, try->given);
        http_ticket_return(client->ticket, lease);
        if (try->given > least)
            return rv;
        answer->error = "the Kerberos ticket came too late to ask";
        rv = APR_TIMEUP;
    }
    answer->peer = base->peer;
    answer->path = joined(base->path, request->path, try->p);
    answer->failure = rv == APR_EACCES ? HTTP_FAILURE_TICKET : HTTP_FAILURE_CONNECT;
    try->unfair = 1;
    return rv == APR_TIMEUP ? APR_TIMEUP : APR_ECONNREFUSED;
}

/*
 * Tries URLs until one answers, time is over or another try could do harm.  own: the call's URL;
 * NULL: the client's.
 */
static apr_status_t try_all(http_client_t *client, const http_base_t *own,
                            const http_request_t *request, http_answer_t *answer, apr_time_t end,
                            const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_ECONNREFUSED;
    apr_interval_time_t left;
    unsigned tried = 0;
    int n, count, again = 1;
    try_t try;

    answer->error = "it failed too often and rests for some seconds";
    answer->failure = HTTP_FAILURE_CONNECT;
    for (count = 0; again; count++) {
        left = end - clock_monotonic();
        memset(&try, 0, sizeof(try));
        try.client = client;
        try.answer = answer;
        try.p = p;
        try.given = left;
        try.spared = request->urgent || !request->idempotent;
        if (must_end(&try)) {
            answer->error = "this process ends";
            answer->failure = HTTP_FAILURE_OTHER;
            return APR_ECONNREFUSED;
        }
        if (left < 1000) {
            if (count == 0) {
                answer->error = "no time is left";
                answer->failure = HTTP_FAILURE_TIME;
            }
            return APR_TIMEUP;
        }
        n = own ? http_breaker_choose_own(client, own)
                : http_breaker_choose(client, client->nbase == 1 ? 0 : tried);
        if (n < 0)
            return rv;
        tried |= 1u << n;
        rv = client->ticket
                 ? try_with_ticket(client, n, request, &try, end, log)
                 : try_once(client, own ? own : &client->base[n], request, &try, left);
        /* a time limit that the caller had used up says nothing about the peer */
        http_breaker_report(
            client, n, rv,
            !try.unfair && (rv != APR_TIMEUP || 2 * try.given >= client->options.timeout));
        if (rv == APR_SUCCESS || rv == APR_ENOSPC || rv == APR_EGENERAL ||
            (rv == APR_TIMEUP && try.unfair))
            return rv;
        again = try.sent ? rv != APR_TIMEUP && request->idempotent && count == 0
                         : count + 1 < (client->nbase > 2 ? client->nbase : 2);
    }
    return rv;
}

/* Reads credential files that changed; says so when that is not possible. */
static void refresh(http_client_t *client, const log_sink_t *log, apr_pool_t *p)
{
    http_credentials_t *fresh = NULL;
    const char *error;
    http_stamp_t stamp;
    int changed;

    apr_thread_mutex_lock(client->mutex);
    http_files_stamp(&stamp, &client->files, &client->credentials->stamp);
    changed = memcmp(&stamp, &client->credentials->stamp, sizeof(stamp)) != 0 &&
              memcmp(&stamp, &client->rejected, sizeof(stamp)) != 0;
    if (changed)
        client->rejected = stamp; /* one thread reads it, the others go on */
    apr_thread_mutex_unlock(client->mutex);
    if (!changed)
        return;
    error = http_files_load(&fresh, &client->files, p);
    if (error) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0390),
               "%s: its credential files changed, but the old ones stay in use until a restart: %s",
               client->options.name, error);
        return;
    }
    apr_thread_mutex_lock(client->mutex);
    http_files_drop(client->credentials);
    client->credentials = fresh;
    apr_thread_mutex_unlock(client->mutex);
    log_to(log, LOG_SINK_INFO, SCEPTAG(0391), "%s: its credential files changed and are used now",
           client->options.name);
}

/* Lets a call in; 0 when there are too many. */
static int enter(http_client_t *client, int urgent)
{
    int in;

    apr_thread_mutex_lock(client->mutex);
    in = client->active < client->options.concurrency * (urgent ? 2 : 1);
    if (in)
        client->active++;
    apr_thread_mutex_unlock(client->mutex);
    return in;
}

apr_status_t http_client_call(http_client_t *client, const http_request_t *request,
                              http_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    apr_interval_time_t limit = client->options.timeout;
    int at_call = client->options.url_at_call;
    http_base_t own = {0};
    apr_status_t rv;

    memset(answer, 0, sizeof(*answer));
    answer->content_type = "";
    answer->body.data = (const unsigned char *)"";
    answer->peer = at_call ? "" : client->base[0].peer;
    answer->path = at_call ? "" : client->base[0].path;
    answer->failure = HTTP_FAILURE_OTHER;
    answer->headers = apr_table_make(p, 1);
    if (at_call) {
        answer->error = request->url ? http_base_take(&own, request->url, &client->options, p)
                                     : "there is no URL";
        if (!answer->error && strlen(own.peer) >= HTTP_PEER_MAX)
            answer->error = "the host's name is too long";
        if (answer->error)
            return APR_EINVAL;
        answer->peer = own.peer;
        answer->path = own.path;
    }
    if (!client->mutex || !client->credentials) {
        answer->error = "it is not set up";
        return APR_EGENERAL;
    }
    if (request->deadline && request->deadline - apr_time_now() < limit)
        limit = request->deadline - apr_time_now();
    if (!enter(client, request->urgent)) {
        answer->error =
            apr_psprintf(p, "busy: %d calls are under way", client->options.concurrency);
        return APR_EAGAIN;
    }
    refresh(client, log, p);
    rv = try_all(client, at_call ? &own : NULL, request, answer, clock_monotonic() + limit, log,
                 p);
    if (rv == APR_SUCCESS) {
        answer->error = NULL;
        answer->failure = HTTP_FAILURE_NONE;
    }
    apr_thread_mutex_lock(client->mutex);
    client->active--;
    apr_thread_mutex_unlock(client->mutex);
    return rv;
}

apr_status_t http_answer_header(const char **value, const http_answer_t *answer, const char *name)
{
    const apr_array_header_t *all = apr_table_elts(answer->headers);
    const apr_table_entry_t *entry = (const apr_table_entry_t *)all->elts;
    int i, n = 0;

    *value = NULL;
    for (i = 0; i < all->nelts; i++) {
        if (strcasecmp(entry[i].key, name) == 0) {
            *value = entry[i].val;
            n++;
        }
    }
    return n == 0 ? APR_NOTFOUND : n == 1 ? APR_SUCCESS : APR_EINVAL;
}
