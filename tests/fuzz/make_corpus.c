/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_corpus DIRECTORY: writes the seeds of each fuzz target to a directory there.  They are
 * checked in; run it again when the fixture or the keys change.
 */
#include "make_corpus.h"
#include "fuzz_keys.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *directory;
static apr_pool_t *pool;

void corpus_write(const char *target, const char *name, const crypt_buf_t *data)
{
    const char *dir = apr_pstrcat(pool, directory, "/", target, NULL);
    const char *path = apr_pstrcat(pool, dir, "/", name, NULL);
    FILE *out;

    mkdir(dir, 0777);
    out = fopen(path, "wb");
    if (!out || fwrite(data->data, 1, data->len, out) != data->len || fclose(out) != 0) {
        perror(path);
        exit(1);
    }
}

/*
 * Writes a seed as it is, and in BER under another name: values of indefinite length stay whole
 * when something inside of them grows or shrinks, so a fuzzer gets further with them.
 */
static void write_both(const char *target, const char *name, const char *ber_name,
                       const crypt_buf_t *der)
{
    crypt_buf_t ber = scep_fixture_ber(pool, der, 0);

    corpus_write(target, name, der);
    corpus_write(target, apr_pstrcat(pool, ber_name, "_ber", NULL), &ber);
}

/* ---- requests */

static void two_challenges(X509_REQ *req, void *baton)
{
    X509_ATTRIBUTE *attribute;

    (void)baton;
    X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_ASC,
                              (const unsigned char *)"one", -1);
    X509_REQ_add1_attr_by_txt(req, "1.2.3", V_ASN1_BMPSTRING, (const unsigned char *)"\0A\0B", 4);
    attribute = X509_REQ_get_attr(req, X509_REQ_get_attr_count(req) - 1);
    X509_ATTRIBUTE_set1_object(attribute, OBJ_nid2obj(NID_pkcs9_challengePassword));
}

/* Adds subjectAltName and keyUsage under the attribute NID in baton. */
static void extensions(X509_REQ *req, void *baton)
{
    STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();

    sk_X509_EXTENSION_push(exts, X509V3_EXT_conf(NULL, NULL, "keyUsage", "digitalSignature"));
    sk_X509_EXTENSION_push(exts, X509V3_EXT_conf(NULL, NULL, "subjectAltName",
                                                 "DNS:device.example,email:d@example"));
    X509_REQ_add_extensions_nid(req, exts, *(int *)baton);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

/* Seeds of fuzz_csr. */
static void make_requests(void)
{
    int pkcs9 = NID_ext_req, microsoft = NID_ms_ext_req;
    const struct {
        const char *name;
        scep_fixture_csr_t want;
    } seeds[] = {
        { "success-plain", { NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
        { "success-challenge", { NULL, NULL, "4F3C9A0B7E21D5C6", "digitalSignature", NULL, NULL,
                                 NULL } },
        { "success-encryption", { NULL, NULL, "x", "keyEncipherment", EVP_sha512(), NULL, NULL } },
        { "success-sha1", { "p\xc3\xa4", NULL, "x", NULL, EVP_sha1(), NULL, NULL } },
        { "failure-md5", { "", NULL, "x", NULL, EVP_md5(), NULL, NULL } },
        { "failure-two_challenges", { NULL, NULL, NULL, NULL, NULL, two_challenges, NULL } },
        { "success-extensions", { NULL, NULL, "x", NULL, NULL, extensions, &pkcs9 } },
        { "success-ms_extensions", { NULL, NULL, "x", NULL, NULL, extensions, &microsoft } },
        { "success-ec", { NULL, scep_fixture_ec_key(), "x", NULL, NULL, NULL, NULL } }
    };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        crypt_buf_t der = scep_fixture_csr(pool, &seeds[i].want);

        /* in BER it is no longer what was signed: no success */
        write_both("csr", seeds[i].name, strchr(seeds[i].name, '-') + 1, &der);
    }
}

/* ---- messages */

static void unknown_attribute(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(99), V_ASN1_OCTET_STRING, "x", 1);
}

static void second_type(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(2), V_ASN1_PRINTABLESTRING, "17", 2);
}

/* Seeds of fuzz_message. */
static void make_messages(void)
{
    scep_fixture_t *f = scep_fixture_make(pool);
    const struct {
        const char *name;
        scep_fixture_message_t want;
    } seeds[] = {
        { "success-good", { .md = NULL } },
        { "success-sha1_3des", { .md = EVP_sha1(), .cipher = EVP_des_ede3_cbc() } },
        { "success-sha512_aes256", { .md = EVP_sha512(), .cipher = EVP_aes_256_cbc() } },
        { "failure-md5", { .md = EVP_md5() } },
        { "success-pss", { .pss = 1 } },
        { "success-gcm", { .cipher = EVP_aes_256_gcm() } },
        { "success-oaep", { .oaep = EVP_sha256(), .oaep_mgf1 = EVP_sha1() } },
        { "success-oaep_gcm", { .oaep = EVP_sha1(), .cipher = EVP_aes_128_gcm() } },
        { "failure-password", { .password = "secret" } },
        { "success-key_id", { .flags = CMS_USE_KEYID, .recipient_flags = CMS_USE_KEYID } },
        { "http400-no_certificates", { .flags = CMS_NOCERTS } },
        { "http400-no_attributes", { .flags = CMS_NOATTR } },
        { "failure-no_content", { .no_content = 1, .message_type = "20" } },
        { "success-ec_signer", { .key = scep_fixture_ec_key() } },
        { "failure-stranger", { .recipient = f->certs[SCEP_FIXTURE_STRANGER] } },
        { "success-two_recipients", { .recipient = f->certs[SCEP_FIXTURE_STRANGER],
                                      .second_recipient = f->certs[SCEP_FIXTURE_OLD_DECRYPTER] } },
        { "success-unknown_attribute", { .edit = unknown_attribute } },
        { "http400-second_type", { .edit = second_type } },
        { "success-utf8_id", { .transaction_id = "id", .transaction_id_as = V_ASN1_UTF8STRING } }
    };
    crypt_buf_t der, envelope, plain;
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        der = scep_fixture_message(f, &seeds[i].want);
        write_both("message", seeds[i].name, seeds[i].name, &der);
    }
    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    plain = scep_fixture_csr(pool, &csr);
    envelope = scep_fixture_envelope(f, &want, &plain);
    envelope = scep_fixture_ber(pool, &envelope, 1);
    want.envelope = &envelope;
    der = scep_fixture_message(f, &want);
    der = scep_fixture_ber(pool, &der, 0);
    corpus_write("message", "success-good_all_ber", &der);
}

/* ---- query strings */

/* Seeds of fuzz_query. */
static void make_queries(void)
{
    static const struct {
        const char *name, *text;
    } seeds[] = {
        { "http400-caps", "operation=GetCACaps&message=0" },
        { "success-cacert", "message=trust%20point&operation=GetCACert" },
        { "success-escaped", "operation=PKIOperation&message=MIIB%2B%2FAA%3D%3D%0A" },
        { "success-raw", "operation=PKIOperation&message=MIIB+/AA==" },
        { "success-url_alphabet", "operation=PKIOperation&message=MIIB-_AA" },
        { "http400-spaces", "Operation=pkioperation&Message=MIIB / AA%0D%0A" },
        { "http400-twice", "operation=a&operation=b" },
        { "http400-broken", "operation=%4&message=%" }
    };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        crypt_buf_t text = { (const unsigned char *)seeds[i].text, strlen(seeds[i].text) };

        corpus_write("query", seeds[i].name, &text);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus DIRECTORY\n");
        return EXIT_FAILURE;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    scep_fixture_set_keys(fuzz_keys);
    scep_fixture_init();
    directory = argv[1];
    mkdir(directory, 0777);
    make_requests();
    make_messages();
    make_queries();
    corpus_make_engine(pool);
    apr_pool_destroy(pool);
    apr_terminate();
    return EXIT_SUCCESS;
}
