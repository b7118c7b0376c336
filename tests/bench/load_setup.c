/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges and the RA's certificates for the load generators: see load_setup.h. */
#include "load_setup.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *load_authorization(char *headers, size_t size, const char *user,
                               const char *password_file)
{
    char password[256] = "", both[512], encoded[700];
    FILE *file = fopen(password_file, "r");
    int len, read = file && fgets(password, sizeof(password), file);

    if (file)
        fclose(file);
    if (!read)
        return "cannot read the password's file";
    password[strcspn(password, "\r\n")] = '\0';
    len = snprintf(both, sizeof(both), "%s:%s", user, password);
    if (len >= 0 && len <= 300) {
        EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)both, len);
        snprintf(headers, size, "Authorization: Basic %s\r\nAccept: application/json\r\n", encoded);
    }
    OPENSSL_cleanse(password, sizeof(password));
    OPENSSL_cleanse(both, sizeof(both));
    OPENSSL_cleanse(encoded, sizeof(encoded));
    return len >= 0 && len <= 300 ? NULL : "user and password are too long";
}

const char *load_mint(load_connection_t *c, const char *headers,
                      char challenge[LOAD_CHALLENGE_MAX + 1])
{
    static const char member[] = "\"challenge\":\"";
    load_answer_t answer;
    const char *error, *at = NULL;
    size_t len = 0;

    error = load_request(c, &answer, "GET", "/mscep_admin", headers, NULL, 0);
    if (error)
        return error;
    if (answer.status == 200 && strcmp(answer.type, "application/json") == 0)
        at = strstr((const char *)answer.body, member);
    if (at)
        len = strspn(at + sizeof(member) - 1, "0123456789ABCDEFabcdef");
    if (len == 0 || len > LOAD_CHALLENGE_MAX)
        return answer.status == 200 ? "no challenge in the answer" : "status is not 200";
    memcpy(challenge, at + sizeof(member) - 1, len);
    challenge[len] = '\0';
    return NULL;
}

const char *load_ra_get(load_ra_t *ra, const load_target_t *target, int timeout)
{
    load_connection_t c;
    load_answer_t answer;
    const char *error;

    load_connection_init(&c, target, timeout);
    error = load_request(&c, &answer, "GET", "/mscep/mscep.dll?operation=GetCACert", "", NULL, 0);
    if (!error)
        error = answer.status != 200 ? "GetCACert: the status is not 200"
                                     : load_ra_parse(ra, answer.type, answer.body, answer.body_len);
    load_connection_close(&c);
    return error;
}

int load_challenges(char ***list, const char *name, int max)
{
    char line[LOAD_CHALLENGE_MAX + 2];
    FILE *in = fopen(name, "r");
    int count = 0;

    *list = in ? calloc((size_t)max, sizeof(**list)) : NULL;
    while (*list && count < max && fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            (*list)[count++] = strdup(line);
    }
    if (in)
        fclose(in);
    return *list ? count : -1;
}
