/* SPDX-License-Identifier: Apache-2.0 */
/* The CA's certificates by CMP: genm with id-it-caCerts, RFC 9483 section 4.3.1. */
#include "ca_certs.h"
#include "ca_cmp.h"

#include <openssl/err.h>
#include <string.h>

#if OPENSSL_VERSION_NUMBER >= 0x30200000L

/* The general message that asks for them; NULL: no memory. */
static OSSL_CMP_ITAV *make_question(void)
{
    return OSSL_CMP_ITAV_new_caCerts(NULL);
}

/* Adds the certificates of an answer's part; 0 if it holds none. */
static int add_certificates(STACK_OF(X509) **pcerts, const OSSL_CMP_ITAV *part, apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL;
    unsigned char *der;
    int i, len, good = OSSL_CMP_ITAV_get0_caCerts(part, &certs) && sk_X509_num(certs) > 0;

    for (i = 0; good && i < sk_X509_num(certs); i++) {
        der = NULL;
        len = i2d_X509(sk_X509_value(certs, i), &der);
        good = len > 0 && ca_certs_add_der(pcerts, der, (apr_size_t)len, p) == APR_SUCCESS;
        OPENSSL_free(der);
    }
    return good;
}

#else

/* The general message that asks for them; NULL: no memory. */
static OSSL_CMP_ITAV *make_question(void)
{
    return OSSL_CMP_ITAV_create(OBJ_nid2obj(NID_id_it_caCerts), NULL);
}

/* Adds the certificates of an answer's part; 0 if it holds none. */
static int add_certificates(STACK_OF(X509) **pcerts, const OSSL_CMP_ITAV *part, apr_pool_t *p)
{
    const ASN1_TYPE *value = OSSL_CMP_ITAV_get0_value(part);
    ASN1_SEQUENCE_ANY *list = NULL;
    const unsigned char *at;
    int i, good = 0;

    if (OBJ_obj2nid(OSSL_CMP_ITAV_get0_type(part)) == NID_id_it_caCerts && value != NULL &&
        value->type == V_ASN1_SEQUENCE) {
        at = ASN1_STRING_get0_data(value->value.sequence);
        list = d2i_ASN1_SEQUENCE_ANY(NULL, &at, ASN1_STRING_length(value->value.sequence));
    }
    for (i = 0; i < sk_ASN1_TYPE_num(list); i++) {
        const ASN1_TYPE *cert = sk_ASN1_TYPE_value(list, i);

        good = cert->type == V_ASN1_SEQUENCE &&
               ca_certs_add_der(pcerts, ASN1_STRING_get0_data(cert->value.sequence),
                                (apr_size_t)ASN1_STRING_length(cert->value.sequence),
                                p) == APR_SUCCESS;
        if (!good) {
            break;
        }
    }
    sk_ASN1_TYPE_pop_free(list, ASN1_TYPE_free);
    return good;
}

#endif

/* Asks; the answer's parts, or NULL. */
static STACK_OF(OSSL_CMP_ITAV) *exchange(ca_cmp_call_t *call)
{
    static const unsigned char none[8];
    OSSL_CMP_ITAV *question;

    if (ca_cmp_call_open(call, none) != APR_SUCCESS || (question = make_question()) == NULL) {
        return NULL;
    }
    if (!OSSL_CMP_CTX_push0_genm_ITAV(call->ctx, question)) {
        OSSL_CMP_ITAV_free(question);
        return NULL;
    }
    return OSSL_CMP_exec_GENM_ses(call->ctx);
}

apr_status_t ca_cmp_fetch_chain(void *instance, STACK_OF(X509) **pcerts, apr_time_t deadline,
                                const char **error, const log_sink_t *log, apr_pool_t *p)
{
    STACK_OF(OSSL_CMP_ITAV) *parts;
    ca_answer_t answer;
    ca_cmp_call_t call;
    int i, good = 0;

    *pcerts = NULL;
    memset(&answer, 0, sizeof(answer));
    memset(&call, 0, sizeof(call));
    outcome_init(&answer.outcome);
    call.cmp = instance;
    call.answer = &answer;
    call.deadline = deadline;
    call.log = log;
    call.p = p;
    ca_cmp_call_begin(&call);
    parts = exchange(&call);
    if (parts == NULL) {
        ca_cmp_call_explain(&call);
        *error = answer.outcome.detail;
    }
    for (i = 0; i < sk_OSSL_CMP_ITAV_num(parts) && !good; i++) {
        good = add_certificates(pcerts, sk_OSSL_CMP_ITAV_value(parts, i), p);
    }
    if (parts != NULL && !good) {
        *error = "the CA does not tell its certificates (caCerts)";
    }
    sk_OSSL_CMP_ITAV_pop_free(parts, OSSL_CMP_ITAV_free);
    ca_cmp_call_end();
    ERR_clear_error();
    (void)OSSL_CMP_CTX_set_transfer_cb_arg(call.ctx, NULL);
    return good ? APR_SUCCESS : APR_EGENERAL;
}
