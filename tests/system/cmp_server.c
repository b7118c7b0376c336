/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CMP server for tests, by OpenSSL's server code: speaks on stdin and stdout with double_cmp.py,
 * which carries HTTP and signs certificates.
 *
 *   cmp_server CERTIFICATE KEY TRUST REFERENCE SECRET
 *
 * TRUST: PEM, the RA's certificates whose messages are taken.  A frame is a line "LENGTH WORDS" and
 * that many bytes.  It reads "LENGTH MODE" with a request and writes "LENGTH reply" (0: none is
 * possible); in between it may write "LENGTH csr", to which "LENGTH cert" is the answer, or
 * "LENGTH revoke" with a serial number in hex, to which any frame is.  The modes:
 *
 *   issued               with implicit confirmation
 *   confirm              the certificate has to be confirmed
 *   rejected BIT TEXT    failInfo and statusString
 *   pending SECONDS      it waits, and so do the polls
 *   unprotected          the answer has no protection
 */
#include <openssl/cmp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX (1024 * 1024)

/* What the frame before says. */
typedef struct frame_t {
    char words[512];
    unsigned char *data;
    size_t len;
} frame_t;

static frame_t request, answer;
static OSSL_CMP_MSG *waiting;
static STACK_OF(X509) *own;

/* Ends the program: there is nobody to tell. */
static void die(const char *what)
{
    fprintf(stderr, "cmp_server: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* Reads a frame; 0 at the end of input. */
static int read_frame(frame_t *frame)
{
    char line[600], *words;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 0;
    }
    line[strcspn(line, "\n")] = '\0';
    frame->len = strtoul(line, &words, 10);
    if (frame->len > FRAME_MAX || *words != ' ') {
        die("not a frame");
    }
    snprintf(frame->words, sizeof(frame->words), "%s", words + 1);
    free(frame->data);
    frame->data = malloc(frame->len + 1);
    if (frame->data == NULL || fread(frame->data, 1, frame->len, stdin) != frame->len) {
        die("a frame was cut");
    }
    return 1;
}

/* Writes a frame. */
static void write_frame(const char *words, const void *data, size_t len)
{
    printf("%zu %s\n", len, words);
    fwrite(data, 1, len, stdout);
    fflush(stdout);
}

/* Whether the present mode begins with name; *words is what follows. */
static int mode_is(const char *name, const char **words)
{
    size_t len = strlen(name);

    *words = request.words + len;
    return strncmp(request.words, name, len) == 0 && (**words == ' ' || **words == '\0');
}

/* The status of a mode with BIT and TEXT. */
static OSSL_CMP_PKISI *status_of(const char *words)
{
    char *text;
    long bit = strtol(words, &text, 10);

    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_rejection, 1 << bit, text + 1);
}

/* See OSSL_CMP_SRV_cert_request_cb_t. */
static OSSL_CMP_PKISI *certify(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, int id,
                               const OSSL_CRMF_MSG *crm, const X509_REQ *csr, X509 **cert,
                               STACK_OF(X509) **chain, STACK_OF(X509) **ca_pubs)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    const char *words;
    int len;

    (void)server, (void)id, (void)crm, (void)chain, (void)ca_pubs;
    if (mode_is("rejected", &words)) {
        return status_of(words);
    }
    if (mode_is("pending", &words)) {
        OSSL_CMP_MSG_free(waiting);
        waiting = OSSL_CMP_MSG_dup(message);
        return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_waiting, 0, NULL);
    }
    if (csr == NULL || (len = i2d_X509_REQ((X509_REQ *)csr, &der)) <= 0) {
        return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_rejection,
                                       OSSL_CMP_CTX_FAILINFO_badRequest, "no PKCS #10");
    }
    write_frame("csr", der, (size_t)len);
    OPENSSL_free(der);
    if (!read_frame(&answer)) {
        exit(0);
    }
    at = answer.data;
    *cert = d2i_X509(NULL, &at, (long)answer.len);
    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

/* See OSSL_CMP_SRV_rr_cb_t. */
static OSSL_CMP_PKISI *withdraw(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message,
                                const X509_NAME *issuer, const ASN1_INTEGER *serial)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(serial, NULL);
    char *hex = number != NULL ? BN_bn2hex(number) : NULL;
    const char *words;

    (void)server, (void)message, (void)issuer;
    if (hex == NULL) {
        die("no serial number");
    }
    if (mode_is("rejected", &words)) {
        return status_of(words);
    }
    write_frame("revoke", hex, strlen(hex));
    OPENSSL_free(hex);
    BN_free(number);
    if (!read_frame(&answer)) {
        exit(0);
    }
    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

/* The server's certificate as the part of a general message that tells the CA's. */
static OSSL_CMP_ITAV *make_ca_certs(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    return OSSL_CMP_ITAV_new_caCerts(own);
#else
    ASN1_SEQUENCE_ANY *list = sk_ASN1_TYPE_new_null();
    ASN1_TYPE *value = ASN1_TYPE_new(), *cert = ASN1_TYPE_new();
    ASN1_STRING *inner = ASN1_STRING_new(), *outer = ASN1_STRING_new();
    unsigned char *der = NULL;
    int len = i2d_X509(sk_X509_value(own, 0), &der);

    ASN1_STRING_set0(inner, der, len);
    ASN1_TYPE_set(cert, V_ASN1_SEQUENCE, inner);
    sk_ASN1_TYPE_push(list, cert);
    der = NULL;
    len = i2d_ASN1_SEQUENCE_ANY(list, &der);
    ASN1_STRING_set0(outer, der, len);
    ASN1_TYPE_set(value, V_ASN1_SEQUENCE, outer);
    sk_ASN1_TYPE_pop_free(list, ASN1_TYPE_free);
    return OSSL_CMP_ITAV_create(OBJ_nid2obj(NID_id_it_caCerts), value);
#endif
}

/* See OSSL_CMP_SRV_genm_cb_t. */
static int tell(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message,
                const STACK_OF(OSSL_CMP_ITAV) *in, STACK_OF(OSSL_CMP_ITAV) **out)
{
    (void)server, (void)message, (void)in;
    *out = sk_OSSL_CMP_ITAV_new_null();
    return sk_OSSL_CMP_ITAV_push(*out, make_ca_certs()) > 0;
}

/* See OSSL_CMP_SRV_error_cb_t. */
static void hear_error(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message,
                       const OSSL_CMP_PKISI *status, const ASN1_INTEGER *code,
                       const OSSL_CMP_PKIFREETEXT *details)
{
    (void)server, (void)message, (void)status, (void)code, (void)details;
    write_frame("error", "", 0);
}

/* See OSSL_CMP_SRV_certConf_cb_t. */
static int hear_confirmation(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, int id,
                             const ASN1_OCTET_STRING *hash, const OSSL_CMP_PKISI *status)
{
    char text[OSSL_CMP_PKISI_BUFLEN] = "accepted";

    (void)server, (void)message, (void)id, (void)hash;
    if (status != NULL) {
        OSSL_CMP_snprint_PKIStatusInfo(status, text, sizeof(text));
    }
    write_frame(strstr(text, "accepted") != NULL ? "confirmed" : "not-confirmed", "", 0);
    return 1;
}

/* See OSSL_CMP_SRV_pollReq_cb_t. */
static int poll(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, int id,
                OSSL_CMP_MSG **original, int64_t *check_after)
{
    const char *words;

    (void)server, (void)message, (void)id;
    *original = NULL;
    *check_after = 0;
    if (mode_is("pending", &words)) {
        *check_after = strtol(words, NULL, 10);
        return 1;
    }
    *original = waiting;
    waiting = NULL;
    return *original != NULL;
}

/* Reads a PEM file's certificates. */
static STACK_OF(X509) *read_certificates(const char *path)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *in = BIO_new_file(path, "r");
    X509 *cert;

    while (in != NULL && (cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        sk_X509_push(certs, cert);
    }
    BIO_free(in);
    ERR_clear_error();
    if (sk_X509_num(certs) < 1) {
        die(path);
    }
    return certs;
}

/* Sets the protection of both sides. */
static void protect(OSSL_CMP_CTX *ctx, char **names)
{
    STACK_OF(X509) *trusted = read_certificates(names[2]);
    X509_STORE *store = X509_STORE_new();
    BIO *in = BIO_new_file(names[1], "r");
    EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
    int i;

    own = read_certificates(names[0]);
    for (i = 0; i < sk_X509_num(trusted); i++) {
        X509_STORE_add_cert(store, sk_X509_value(trusted, i));
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (key == NULL || !OSSL_CMP_CTX_set1_cert(ctx, sk_X509_value(own, 0)) ||
        !OSSL_CMP_CTX_set1_pkey(ctx, key) || !OSSL_CMP_CTX_set0_trustedStore(ctx, store) ||
        !OSSL_CMP_CTX_set1_referenceValue(ctx, (unsigned char *)names[3],
                                          (int)strlen(names[3])) ||
        !OSSL_CMP_CTX_set1_secretValue(ctx, (unsigned char *)names[4], (int)strlen(names[4]))) {
        die("cannot be set up");
    }
    EVP_PKEY_free(key);
    BIO_free(in);
    sk_X509_pop_free(trusted, X509_free);
}

/* Sets what the mode of a request changes. */
static void behave(OSSL_CMP_SRV_CTX *server)
{
    OSSL_CMP_CTX *ctx = OSSL_CMP_SRV_CTX_get0_cmp_ctx(server);
    const char *words;

    OSSL_CMP_SRV_CTX_set_grant_implicit_confirm(server, !mode_is("confirm", &words));
    OSSL_CMP_SRV_CTX_set_send_unprotected_errors(server, 1);
    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_UNPROTECTED_SEND, mode_is("unprotected", &words));
}

/* Answers one request. */
static void serve(OSSL_CMP_SRV_CTX *server)
{
    const unsigned char *at = request.data;
    OSSL_CMP_MSG *message = d2i_OSSL_CMP_MSG(NULL, &at, (long)request.len), *reply = NULL;
    unsigned char *der = NULL;
    int len = 0;

    if (message != NULL) {
        reply = OSSL_CMP_SRV_process_request(server, message);
    }
    if (reply != NULL) {
        len = i2d_OSSL_CMP_MSG(reply, &der);
    }
    if (reply == NULL) {
        ERR_print_errors_fp(stderr);
    }
    write_frame("reply", der != NULL ? der : (const unsigned char *)"", len > 0 ? (size_t)len : 0);
    OPENSSL_free(der);
    OSSL_CMP_MSG_free(reply);
    OSSL_CMP_MSG_free(message);
    ERR_clear_error();
}

/* OpenSSL's callback: says nothing. */
static int no_log(const char *function, const char *file, int line, OSSL_CMP_severity level,
                  const char *message)
{
    (void)function, (void)file, (void)line, (void)level, (void)message;
    return 1;
}

int main(int argc, char **argv)
{
    OSSL_CMP_SRV_CTX *server = OSSL_CMP_SRV_CTX_new(NULL, NULL);
    OSSL_CMP_CTX *ctx;

    if (argc != 6 || server == NULL ||
        !OSSL_CMP_SRV_CTX_init(server, NULL, certify, withdraw, tell, hear_error,
                               hear_confirmation, poll)) {
        die("usage: cmp_server CERTIFICATE KEY TRUST REFERENCE SECRET");
    }
    ctx = OSSL_CMP_SRV_CTX_get0_cmp_ctx(server);
    OSSL_CMP_CTX_set_log_cb(ctx, no_log);
    protect(ctx, argv + 1);
    while (read_frame(&request)) {
        behave(server);
        serve(server);
    }
    OSSL_CMP_SRV_CTX_free(server);
    sk_X509_pop_free(own, X509_free);
    OSSL_CMP_MSG_free(waiting);
    free(request.data);
    free(answer.data);
    return 0;
}
