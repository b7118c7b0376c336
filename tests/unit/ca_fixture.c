/* SPDX-License-Identifier: Apache-2.0 */
/* See ca_fixture.h. */
#include "ca_fixture.h"

#include <apr_strings.h>
#include <string.h>

ca_fixture_request_t *ca_fixture_request(EVP_PKEY *key, const char *common_name,
                                         const char *extension, const char *template_name)
{
    apr_pool_t *p = fixture_pool();
    ca_fixture_request_t *request = apr_pcalloc(p, sizeof(*request));
    const char *extensions[2];
    crypt_buf_t der;
    outcome_t out;
    apr_status_t rv;
    int i;

    extensions[0] = extension;
    extensions[1] = NULL;
    der = fixture_csr(p, key, common_name, NULL, extension != NULL ? extensions : NULL);
    rv = csr_make(&request->csr, &der, 0, &out, p);
    ck_assert_msg(rv == APR_SUCCESS, "csr_make: %s %s", out.reason, out.detail);
    request->values.service = "unit";
    request->values.tx_key = "00";
    request->values.transaction_id = "tx-1";
    request->values.template_name = template_name != NULL ? template_name : CA_TEMPLATE_DEFAULT;
    memcpy(request->values.csr_digest, request->csr->digest, 32);
    for (i = 0; i < 16; i++) {
        request->values.serial[i] = (unsigned char)(0x11 * i + 0x01);
    }
    request->values.not_before = apr_time_from_sec(apr_time_sec(apr_time_now()) - 600);
    request->grant = grant_make(&request->values, p);
    return request;
}

X509 *ca_fixture_ca(EVP_PKEY *key, int days)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = "unit CA";
    want.key = key;
    want.ca = 1;
    want.not_before = -3600;
    want.not_after = (long)days * 86400;
    return fixture_certificate(fixture_pool(), &want);
}

ca_config_t *ca_fixture_config(void)
{
    ca_config_t *cfg = apr_pcalloc(fixture_pool(), sizeof(*cfg));

    cfg->service = "unit";
    cfg->templates = apr_array_make(fixture_pool(), 2, sizeof(const ca_template_t *));
    cfg->not_before_skew = apr_time_from_sec(600);
    return cfg;
}

ca_t *ca_fixture_local(X509 *cert, EVP_PKEY *key, const char *word, const ca_config_t *cfg)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p), *words[3], *error;
    ca_t *ca;

    words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "ca.pem",
                           fixture_certificate_pem(p, cert), 0600), NULL);
    words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "ca.key", fixture_key_pem(p, key),
                           0600), NULL);
    words[2] = word;
    error = ca_make(&ca, &ca_local_provider, word != NULL ? 3 : 2, words, cfg, p);
    ck_assert_msg(error == NULL, "ca_make: %s", error);
    return ca;
}

apr_time_t ca_fixture_deadline(void)
{
    return apr_time_now() + apr_time_from_sec(60);
}
