/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query strings: parsed, the message decoded; what was decoded is the same after being encoded and
 * decoded once more.
 */
#include "../../mod_scep/core/query.h"
#include "fuzz.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>

const char *fuzz_answer;

static apr_pool_t *root;

/* Encodes der strictly, with every character that means something in a URL escaped. */
static const char *encode(const crypt_buf_t *der, apr_pool_t *p)
{
    char *base64 = apr_palloc(p, 2 * der->len + 8), *text, *to;
    const char *from;

    EVP_EncodeBlock((unsigned char *)base64, der->data, (int)der->len);
    text = to = apr_palloc(p, 3 * strlen(base64) + 1);
    for (from = base64; *from; from++) {
        if (*from == '+' || *from == '/' || *from == '=')
            to += sprintf(to, "%%%02X", *from);
        else
            *to++ = *from;
    }
    *to = '\0';
    return text;
}

/* Decodes a message; if it is base64 its encoding must give the same. */
static void decode(const char *message, apr_pool_t *p)
{
    crypt_buf_t der, again;
    outcome_t out;

    outcome_init(&out);
    if (scep_query_decode(&der, message, &out, p) != APR_SUCCESS) {
        FUZZ_CHECK(out.result == OUTCOME_MALFORMED && !der.data && der.len == 0);
        fuzz_answer = "http400";
        return;
    }
    FUZZ_CHECK(der.len > 0 && der.len <= strlen(message));
    FUZZ_CHECK(scep_query_decode(&again, encode(&der, p), &out, p) == APR_SUCCESS);
    FUZZ_CHECK(again.len == der.len && memcmp(again.data, der.data, der.len) == 0);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *p;
    scep_query_t query;
    outcome_t out;

    if (!root) {
        apr_initialize();
        FUZZ_CHECK(apr_pool_create(&root, NULL) == APR_SUCCESS);
    }
    FUZZ_CHECK(apr_pool_create(&p, root) == APR_SUCCESS);
    fuzz_answer = "http400";
    outcome_init(&out);
    if (scep_query_parse(&query, apr_pstrmemdup(p, (const char *)data, size), &out,
                         p) == APR_SUCCESS) {
        FUZZ_CHECK(query.operation && strlen(query.operation) <= 64);
        fuzz_answer = "success";
        if (query.message)
            decode(query.message, p);
    }
    else {
        FUZZ_CHECK(out.result == OUTCOME_MALFORMED);
    }
    apr_pool_destroy(p);
    return 0;
}
