/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pkiMessages: all the way that one from the network goes before policy is asked, and the answer.
 *
 * A build for fuzzing lets wrong signatures pass (message.c, must_verify()).
 */
#include "../../mod_scep/core/envelope.h"
#include "../../mod_scep/core/reply.h"
#include "fuzz.h"
#include "fuzz_keys.h"

#include <apr_general.h>
#include <openssl/err.h>
#include <string.h>

const char *fuzz_answer;

static apr_pool_t *root;
static scep_fixture_t fixture;  /* not in a pool: LeakSanitizer would not see what it holds */

/* Makes what all inputs share. */
static void set_up(void)
{
    apr_initialize();
    FUZZ_CHECK(apr_pool_create(&root, NULL) == APR_SUCCESS);
    scep_fixture_set_keys(fuzz_keys);
    fixture = *scep_fixture_make(root);
}

/* The answer to a message must be one that can be read, if it can be made. */
static void answer(const scep_message_t *message, const outcome_t *out, const scep_envelope_t *how,
                   const char *password, apr_pool_t *p)
{
    crypt_buf_t der, leaf = { (const unsigned char *)"\x30\x03\x02\x01\x05", 5 };
    scep_reply_t reply;
    apr_status_t rv;

    memset(&reply, 0, sizeof(reply));
    reply.message = message;
    reply.outcome = out;
    if (how)
        reply.envelope = *how;
    reply.password = password;
    reply.certificates = &leaf;
    reply.ncertificates = 1;
    rv = scep_reply_make(&der, &fixture.service, &reply, p);
    FUZZ_CHECK((rv == APR_SUCCESS) == (der.data != NULL));
    FUZZ_CHECK(rv == APR_SUCCESS || out->result == OUTCOME_SUCCESS);
    if (rv == APR_SUCCESS)
        FUZZ_CHECK(cms_decode(ASN1_ITEM_rptr(cms_signed_t), der.data, der.len, p) != NULL);
    ERR_clear_error();
}

/* A message that was read: open its envelope, read the request, answer. */
static void enroll(const scep_message_t *message, apr_pool_t *p)
{
    scep_envelope_t how;
    crypt_buf_t plain;
    csr_t *csr = NULL;
    outcome_t out;
    apr_status_t rv;

    FUZZ_CHECK(message->signer_cert && message->signer_key && message->digest);
    FUZZ_CHECK(message->sender_nonce.len <= 64);
    outcome_init(&out);
    rv = scep_envelope_open(&plain, &how, message, &fixture.service, &out, p);
    FUZZ_CHECK(ERR_peek_error() == 0);
    if (rv == APR_SUCCESS) {
        FUZZ_CHECK(plain.len > 0 && how.cipher);
        rv = csr_make(&csr, &plain, 1, &out, p);
        FUZZ_CHECK((rv == APR_SUCCESS) == (csr != NULL));
    }
    if (rv == APR_SUCCESS)
        outcome_success(&out);
    else
        FUZZ_CHECK(out.result == OUTCOME_REFUSED);
    fuzz_answer = rv == APR_SUCCESS ? "success" : "failure";
    answer(message, &out, &how, csr ? csr->challenge : NULL, p);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *p;
    crypt_buf_t der;
    scep_message_t *message = NULL;
    outcome_t out;
    apr_status_t rv;

    if (!root)
        set_up();
    FUZZ_CHECK(apr_pool_create(&p, root) == APR_SUCCESS);
    fuzz_answer = "http400";
    outcome_init(&out);
    der.data = data;
    der.len = size;
    rv = scep_message_make(&message, &der, &fixture.service, &out, p);
    FUZZ_CHECK(ERR_peek_error() == 0);
    FUZZ_CHECK(!message || (message->transaction_id && *message->transaction_id &&
                            strlen(message->transaction_id) <= 255));
    if (rv == APR_SUCCESS) {
        FUZZ_CHECK(message);
        enroll(message, p);
    }
    else {
        FUZZ_CHECK(out.result == (message ? OUTCOME_REFUSED : OUTCOME_MALFORMED));
        if (message) {
            fuzz_answer = "failure";
            answer(message, &out, NULL, NULL, p);
        }
    }
    apr_pool_destroy(p);
    return 0;
}
