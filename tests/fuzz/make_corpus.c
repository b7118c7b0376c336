/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_corpus DIRECTORY: writes the seeds of the fuzz targets to DIRECTORY/{message,csr,query}.
 * They are checked in; run it again when the fixture or the keys change.
 */
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

/* Writes one seed; ends the program if that fails. */
static void write_seed(const char *target, const char *name, const crypt_buf_t *data)
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
 * Writes a seed as it is, and in BER: values of indefinite length stay whole when something inside
 * of them grows or shrinks, so a fuzzer gets further with them.
 */
static void write_both(const char *target, const char *name, const crypt_buf_t *der)
{
    crypt_buf_t ber = scep_fixture_ber(pool, der, 0);

    write_seed(target, name, der);
    write_seed(target, apr_pstrcat(pool, name, "_ber", NULL), &ber);
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
        { "plain", { NULL, NULL, NULL, NULL, NULL, NULL, NULL } },
        { "challenge", { NULL, NULL, "4F3C9A0B7E21D5C6", "digitalSignature", NULL, NULL, NULL } },
        { "encryption", { NULL, NULL, "x", "keyEncipherment", EVP_sha512(), NULL, NULL } },
        { "sha1", { "p\xc3\xa4", NULL, "x", NULL, EVP_sha1(), NULL, NULL } },
        { "md5", { "", NULL, "x", NULL, EVP_md5(), NULL, NULL } },
        { "two_challenges", { NULL, NULL, NULL, NULL, NULL, two_challenges, NULL } },
        { "extensions", { NULL, NULL, "x", NULL, NULL, extensions, &pkcs9 } },
        { "ms_extensions", { NULL, NULL, "x", NULL, NULL, extensions, &microsoft } },
        { "ec", { NULL, scep_fixture_ec_key(), "x", NULL, NULL, NULL, NULL } }
    };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        crypt_buf_t der = scep_fixture_csr(pool, &seeds[i].want);

        write_both("csr", seeds[i].name, &der);
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
        { "good", { .md = NULL } },
        { "sha1_3des", { .md = EVP_sha1(), .cipher = EVP_des_ede3_cbc() } },
        { "sha512_aes256", { .md = EVP_sha512(), .cipher = EVP_aes_256_cbc() } },
        { "md5", { .md = EVP_md5() } },
        { "pss", { .pss = 1 } },
        { "key_id", { .flags = CMS_USE_KEYID, .recipient_flags = CMS_USE_KEYID } },
        { "no_certificates", { .flags = CMS_NOCERTS } },
        { "no_attributes", { .flags = CMS_NOATTR } },
        { "no_content", { .no_content = 1, .message_type = "20" } },
        { "ec_signer", { .key = scep_fixture_ec_key() } },
        { "stranger", { .recipient = f->certs[SCEP_FIXTURE_STRANGER] } },
        { "two_recipients", { .recipient = f->certs[SCEP_FIXTURE_STRANGER],
                              .second_recipient = f->certs[SCEP_FIXTURE_OLD_DECRYPTER] } },
        { "unknown_attribute", { .edit = unknown_attribute } },
        { "second_type", { .edit = second_type } },
        { "utf8_id", { .transaction_id = "id", .transaction_id_as = V_ASN1_UTF8STRING } }
    };
    crypt_buf_t der, envelope, plain;
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        der = scep_fixture_message(f, &seeds[i].want);
        write_both("message", seeds[i].name, &der);
    }
    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    plain = scep_fixture_csr(pool, &csr);
    envelope = scep_fixture_envelope(f, &want, &plain);
    envelope = scep_fixture_ber(pool, &envelope, 1);
    want.envelope = &envelope;
    der = scep_fixture_message(f, &want);
    der = scep_fixture_ber(pool, &der, 0);
    write_seed("message", "good_all_ber", &der);
}

/* ---- query strings */

/* Seeds of fuzz_query. */
static void make_queries(void)
{
    static const struct {
        const char *name, *text;
    } seeds[] = {
        { "caps", "operation=GetCACaps&message=0" },
        { "cacert", "message=trust%20point&operation=GetCACert" },
        { "escaped", "operation=PKIOperation&message=MIIB%2B%2FAA%3D%3D%0A" },
        { "raw", "operation=PKIOperation&message=MIIB+/AA==" },
        { "url_alphabet", "operation=PKIOperation&message=MIIB-_AA" },
        { "spaces", "Operation=pkioperation&Message=MIIB / AA%0D%0A" },
        { "twice", "operation=a&operation=b" },
        { "broken", "operation=%4&message=%" }
    };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        crypt_buf_t text = { (const unsigned char *)seeds[i].text, strlen(seeds[i].text) };

        write_seed("query", seeds[i].name, &text);
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
    apr_pool_destroy(pool);
    apr_terminate();
    return EXIT_SUCCESS;
}
