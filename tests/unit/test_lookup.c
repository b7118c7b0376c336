/* SPDX-License-Identifier: Apache-2.0 */
/* GetCert and GetCRL: what is found, for whom, and that all that is not found looks alike. */
#include "../../mod_scep/core/lookup.h"
#include "server_fixture.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/pkcs7.h>
#include <string.h>

Suite *test_lookup_suite(void);

#define GET_CERT "21"
#define GET_CRL "22"
#define NOBODY 987654321L

static X509 *ca_cert, *device;
static const char *crl_path;

static void setup(void)
{
    server_fixture_setup();
    world.fixture->service.get_cert = world.fixture->service.get_crl = 1;
    ca_cert = world.fixture->certs[SCEP_FIXTURE_CA];
    device = world.fixture->certs[SCEP_FIXTURE_DEVICE];
    crl_path = NULL;
}

/* Writes a CRL of the fixture's CA that revokes serial, and configures it. */
static void configure_crl(long serial, long seconds)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p);
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *time = X509_gmtime_adj(NULL, -7200);
    BIO *out;

    crl_path = apr_pstrcat(p, dir, "/ca.crl", NULL);
    out = BIO_new_file(crl_path, "wb");
    ck_assert(X509_CRL_set_version(crl, 1) &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca_cert)) &&
              X509_CRL_set1_lastUpdate(crl, time) && ASN1_INTEGER_set(number, serial) &&
              X509_REVOKED_set_serialNumber(entry, number) &&
              X509_REVOKED_set_revocationDate(entry, time) && X509_CRL_add0_revoked(crl, entry) &&
              X509_gmtime_adj(time, seconds) != NULL && X509_CRL_set1_nextUpdate(crl, time) &&
              X509_CRL_sign(crl, scep_fixture_key(SCEP_FIXTURE_CA), EVP_sha256()) > 0 &&
              i2d_X509_CRL_bio(out, crl));
    BIO_free(out);
    ASN1_TIME_free(time);
    ASN1_INTEGER_free(number);
    X509_CRL_free(crl);
    world.ca_config.crl_file = crl_path;
    ck_assert_ptr_null(ca_make(&world.fixture->service.ca, world.ca_provider, 0, NULL,
                               &world.ca_config, p));
}

/* IssuerAndSerialNumber of cert's issuer; serial NULL: of cert. */
static crypt_buf_t id_of(X509 *cert, const ASN1_INTEGER *serial)
{
    PKCS7_ISSUER_AND_SERIAL *id = PKCS7_ISSUER_AND_SERIAL_new();
    crypt_buf_t buf;

    ck_assert(X509_NAME_set(&id->issuer, X509_get_issuer_name(cert)));
    ck_assert(ASN1_STRING_copy(id->serial, serial ? serial : X509_get0_serialNumber(cert)));
    buf = cms_encode(ASN1_ITEM_rptr(PKCS7_ISSUER_AND_SERIAL), id, fixture_pool());
    PKCS7_ISSUER_AND_SERIAL_free(id);
    return buf;
}

/* The same of the CA's name and a number. */
static crypt_buf_t id_number(long number)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    crypt_buf_t buf;

    ck_assert(ASN1_INTEGER_set(serial, number));
    buf = id_of(ca_cert, serial);
    ASN1_INTEGER_free(serial);
    return buf;
}

/* Asks as who, by cert (NULL: self-signed). */
static scep_response_t *ask(const char *type, const crypt_buf_t *plain, scep_fixture_key_e who,
                            X509 *cert)
{
    scep_fixture_message_t want;
    crypt_buf_t message;

    memset(&want, 0, sizeof(want));
    want.message_type = type;
    want.plain = plain;
    want.key = scep_fixture_key(who);
    want.cert = cert ? cert : world.fixture->certs[who];
    message = scep_fixture_message(world.fixture, &want);
    return server_fixture_post(&message);
}

/* The answer must be SUCCESS; opened for who. */
static scep_fixture_reply_t *assert_given(const scep_response_t *response, scep_fixture_key_e who,
                                          X509 *cert)
{
    scep_fixture_reply_t *reply;

    ck_assert_msg(response->trace.outcome.result == OUTCOME_SUCCESS, "%s: %s",
                  response->trace.outcome.reason, response->trace.outcome.detail);
    reply = scep_fixture_open(world.fixture, &response->body, scep_fixture_key(who),
                              cert ? cert : world.fixture->certs[who]);
    ck_assert_str_eq(reply->status, "0");
    ck_assert_int_eq(world.submits, 0);
    return reply;
}

/* The answer must be FAILURE; what the client sees is the same for each reason of a failInfo. */
static void assert_refused(const scep_response_t *response, const char *reason,
                           const char *fail_info)
{
    scep_fixture_reply_t *reply = server_fixture_certrep(response, "2");

    ck_assert_str_eq(response->trace.outcome.reason, reason);
    ck_assert_str_eq(reply->fail_info, fail_info);
    ck_assert_int_eq(reply->has_content, 0);
    ck_assert_int_eq(world.submits, 0);
    if (strcmp(fail_info, "4") == 0) {
        ck_assert_str_eq(reply->fail_info_text,
                         "No certificate with this issuer and serial number is available.");
    }
}

/* Enrolls the device; its certificate. */
static X509 *enroll(void)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_fixture_reply_t *reply = server_fixture_certrep(server_fixture_post(&message), "0");

    world.submits = 0;
    ck_assert_int_eq(sk_X509_num(reply->certs), 1);
    return sk_X509_value(reply->certs, 0);
}

START_TEST(ca_certificate)
{
    crypt_buf_t id = id_of(ca_cert, NULL);
    scep_response_t *response = ask(GET_CERT, &id, SCEP_FIXTURE_STRANGER, NULL);
    scep_fixture_reply_t *reply = assert_given(response, SCEP_FIXTURE_STRANGER, NULL);

    ck_assert_int_eq(sk_X509_num(reply->certs), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(reply->certs, 0), ca_cert), 0);
    ck_assert_ptr_null(reply->crl.data);
    ck_assert_str_eq(response->trace.message_type, "GetCert");
    ck_assert_str_eq(response->trace.subject, "CN=Fixture CA");
    ck_assert_str_eq(response->trace.serial,
                     crypt_serial_text(X509_get0_serialNumber(ca_cert), fixture_pool()));
}
END_TEST

START_TEST(issued_certificate)
{
    X509 *issued = enroll();
    X509 *in_use = world.fixture->certs[SCEP_FIXTURE_SIGNER];
    crypt_buf_t id = id_of(issued, NULL);
    scep_response_t *response = ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, device);
    scep_fixture_reply_t *reply = assert_given(response, SCEP_FIXTURE_DEVICE, device);

    ck_assert_int_eq(X509_cmp(sk_X509_value(reply->certs, 0), issued), 0);
    ck_assert_str_eq(response->trace.subject, "CN=device");
    /* by the certificate itself, and by another one in use */
    response = ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, issued);
    reply = assert_given(response, SCEP_FIXTURE_DEVICE, issued);
    ck_assert_int_eq(X509_cmp(sk_X509_value(reply->certs, 0), issued), 0);
    response = ask(GET_CERT, &id, SCEP_FIXTURE_SIGNER, in_use);
    reply = assert_given(response, SCEP_FIXTURE_SIGNER, in_use);
    ck_assert_int_eq(X509_cmp(sk_X509_value(reply->certs, 0), issued), 0);
}
END_TEST

START_TEST(not_for_strangers)
{
    scep_fixture_cert_t want = { "device", "Fixture CA", NULL, NULL, 5000, 0, 0 };
    crypt_buf_t id = id_of(enroll(), NULL);
    scep_response_t *response = ask(GET_CERT, &id, SCEP_FIXTURE_STRANGER, NULL);

    ck_assert_int_eq(response->http_status, 200);
    ck_assert_str_eq(response->trace.outcome.reason, "not-allowed");
    ck_assert_int_eq(response->trace.outcome.fail_info, FAIL_INFO_BAD_CERT_ID);
    /* the CA's name without its signature, the certificate's own serial number */
    want.key = want.issuer_key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    response = ask(GET_CERT, &id, SCEP_FIXTURE_STRANGER,
                   scep_fixture_certificate(fixture_pool(), &want));
    ck_assert_str_eq(response->trace.outcome.reason, "not-allowed");
}
END_TEST

START_TEST(revoked_signer)
{
    X509 *in_use = world.fixture->certs[SCEP_FIXTURE_SIGNER];
    crypt_buf_t id = id_of(enroll(), NULL);
    scep_response_t *response;

    configure_crl(ASN1_INTEGER_get(X509_get0_serialNumber(in_use)), 86400);
    response = ask(GET_CERT, &id, SCEP_FIXTURE_SIGNER, in_use);
    ck_assert_str_eq(response->trace.outcome.reason, "not-allowed");
    ck_assert_ptr_nonnull(strstr(response->trace.outcome.detail, "signer-revoked"));
    /* whether it is revoked is not known */
    configure_crl(1, -3600);
    response = ask(GET_CERT, &id, SCEP_FIXTURE_SIGNER, in_use);
    ck_assert_int_eq(response->http_status, 503);
    ck_assert_str_eq(response->trace.outcome.reason, "crl");
    /* its own key needs nobody's word */
    response = ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL);
    assert_given(response, SCEP_FIXTURE_DEVICE, NULL);
}
END_TEST

START_TEST(not_found)
{
    static const unsigned char zero = 0;
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    unsigned char many[100];
    crypt_buf_t id = id_number(NOBODY);

    assert_refused(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), "not-found", "4");
    /* another CA's */
    id = id_of(device, NULL);
    assert_refused(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), "issuer", "4");
    assert_refused(ask(GET_CRL, &id, SCEP_FIXTURE_DEVICE, NULL), "issuer", "4");
    memset(many, 0x5a, sizeof(many));
    ck_assert(ASN1_STRING_set(serial, many, sizeof(many)));
    id = id_of(ca_cert, serial);
    assert_refused(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), "not-found", "4");
    ck_assert(ASN1_INTEGER_set(serial, -1000));
    id = id_of(ca_cert, serial);
    assert_refused(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), "not-found", "4");
    ASN1_INTEGER_free(serial);
    serial = ASN1_INTEGER_new();
    ck_assert(ASN1_STRING_set(serial, &zero, 1));
    id = id_of(ca_cert, serial);
    assert_refused(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), "not-found", "4");
    ASN1_INTEGER_free(serial);
}
END_TEST

START_TEST(bad_content)
{
    static const char *const types[] = { GET_CERT, GET_CRL };
    apr_pool_t *p = fixture_pool();
    crypt_buf_t good = id_of(ca_cert, NULL), cases[6];
    scep_fixture_csr_t csr;
    size_t i, j;

    memset(&csr, 0, sizeof(csr));
    cases[0].data = (const unsigned char *)"";
    cases[0].len = 0;
    cases[1].data = good.data;
    cases[1].len = good.len - 1;
    cases[2].data = memcpy(apr_pcalloc(p, good.len + 2), good.data, good.len);
    cases[2].len = good.len + 2;
    cases[3] = scep_fixture_csr(p, &csr);
    cases[4] = cms_encode(ASN1_ITEM_rptr(X509_NAME), X509_get_issuer_name(ca_cert), p);
    cases[5].data = memcpy(apr_palloc(p, 2 * good.len), good.data, good.len);
    memcpy((unsigned char *)cases[5].data + good.len, good.data, good.len);
    cases[5].len = 2 * good.len;
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
            scep_response_t *response = ask(types[i], &cases[j], SCEP_FIXTURE_DEVICE, NULL);

            if (j > 0)
                assert_refused(response, "issuer-and-serial", "2");
            else
                ck_assert_str_eq(server_fixture_certrep(response, "2")->fail_info, "2");
        }
    }
}
END_TEST

START_TEST(crl)
{
    crypt_buf_t id = id_number(NOBODY), ca_id = id_of(ca_cert, NULL);
    scep_response_t *response;
    scep_fixture_reply_t *reply;
    char file[4096];
    apr_size_t len = sizeof(file);
    apr_file_t *in;

    assert_refused(ask(GET_CRL, &id, SCEP_FIXTURE_DEVICE, NULL), "not-offered", "2");
    configure_crl(4711, 86400);
    response = ask(GET_CRL, &id, SCEP_FIXTURE_STRANGER, NULL);
    reply = assert_given(response, SCEP_FIXTURE_STRANGER, NULL);
    ck_assert_ptr_null(reply->certs);
    ck_assert_int_eq(apr_file_open(&in, crl_path, APR_READ, 0, fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(apr_file_read(in, file, &len), APR_SUCCESS);
    apr_file_close(in);
    ck_assert_uint_eq(reply->crl.len, len);
    ck_assert_mem_eq(reply->crl.data, file, len);
    ck_assert_str_eq(response->trace.message_type, "GetCRL");
    assert_given(ask(GET_CRL, &ca_id, SCEP_FIXTURE_DEVICE, NULL), SCEP_FIXTURE_DEVICE, NULL);
    /* an outdated one is none */
    configure_crl(4711, -3600);
    response = ask(GET_CRL, &id, SCEP_FIXTURE_DEVICE, NULL);
    ck_assert_int_eq(response->http_status, 503);
    ck_assert_int_gt(response->retry_after, 0);
}
END_TEST

START_TEST(switched_off)
{
    crypt_buf_t id = id_of(ca_cert, NULL);

    configure_crl(4711, 86400);
    world.fixture->service.get_cert = 0;
    assert_refused(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), "not-offered", "2");
    assert_given(ask(GET_CRL, &id, SCEP_FIXTURE_DEVICE, NULL), SCEP_FIXTURE_DEVICE, NULL);
    world.fixture->service.get_cert = 1;
    world.fixture->service.get_crl = 0;
    assert_refused(ask(GET_CRL, &id, SCEP_FIXTURE_DEVICE, NULL), "not-offered", "2");
    assert_given(ask(GET_CERT, &id, SCEP_FIXTURE_DEVICE, NULL), SCEP_FIXTURE_DEVICE, NULL);
}
END_TEST

START_TEST(ec_signer)
{
    crypt_buf_t id = id_of(ca_cert, NULL), message;
    scep_fixture_message_t want;

    memset(&want, 0, sizeof(want));
    want.message_type = GET_CERT;
    want.plain = &id;
    want.key = scep_fixture_ec_key();
    message = scep_fixture_message(world.fixture, &want);
    assert_refused(server_fixture_post(&message), "signer-key-type", "0");
}
END_TEST

Suite *test_lookup_suite(void)
{
    Suite *suite = suite_create("lookup");
    TCase *get_cert = tcase_create("GetCert"), *get_crl = tcase_create("GetCRL");

    scep_fixture_init();
    tcase_add_checked_fixture(get_cert, setup, fixture_teardown);
    tcase_add_test(get_cert, ca_certificate);
    tcase_add_test(get_cert, issued_certificate);
    tcase_add_test(get_cert, not_for_strangers);
    tcase_add_test(get_cert, revoked_signer);
    tcase_add_test(get_cert, not_found);
    suite_add_tcase(suite, get_cert);
    tcase_add_checked_fixture(get_crl, setup, fixture_teardown);
    tcase_add_test(get_crl, bad_content);
    tcase_add_test(get_crl, crl);
    tcase_add_test(get_crl, switched_off);
    tcase_add_test(get_crl, ec_signer);
    suite_add_tcase(suite, get_crl);
    return suite;
}
