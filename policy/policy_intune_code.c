/* SPDX-License-Identifier: Apache-2.0 */
/* The codes of Intune's answers; see policy_intune.h.  docs/intune.md has the cures. */
#include "policy_intune.h"
#include <string.h>

/* [MS-ERREF] 2.1 */
#define HR_FAIL ((apr_int32_t)0x80004005)                   /* E_FAIL */
#define HR_SUBJECT_ALT_NAME_REQUIRED ((apr_int32_t)0x80094803) /* CERTSRV_E_..._REQUIRED */

#define TEXT_CHALLENGE "The challenge password cannot be verified. Obtain a new one."
#define TEXT_EXPIRED "The challenge password has expired. Obtain a new one."
#define TEXT_MISSING "A challenge password is required."
#define TEXT_CLIENT "The device is not meant to have this certificate."
#define TEXT_REQUEST "The request does not match what the challenge was issued for."
#define TEXT_REFUSED "The request was refused."

#define BAD_REQUEST FAIL_INFO_BAD_REQUEST

const intune_code_t intune_codes[POLICY_INTUNE_CODES] = {
    {"CertificateRequestDecodingFailed", BAD_REQUEST, OUTCOME_HR_BAD_DATA,
     "intune-request-decoding", "it cannot read the certificate request", TEXT_REQUEST},
    {"ChallengePasswordMissing", BAD_REQUEST, OUTCOME_HR_CERT_SIGNATURE,
     "intune-challenge-missing", "the request holds no challenge", TEXT_MISSING},
    {"ChallengeDeserializationError", BAD_REQUEST, OUTCOME_HR_NOT_FOUND,
     "intune-challenge-deserialization", "the challenge has not the form of Intune's",
     TEXT_CHALLENGE},
    {"ChallengeDecryptionError", BAD_REQUEST, OUTCOME_HR_NOT_FOUND,
     "intune-challenge-decryption", "the challenge cannot be decrypted: another tenant's, or cut",
     TEXT_CHALLENGE},
    {"ChallengeDecodingError", BAD_REQUEST, OUTCOME_HR_NOT_FOUND, "intune-challenge-decoding",
     "the challenge is not base64 of Intune's", TEXT_CHALLENGE},
    {"ChallengeInvalidTimestamp", BAD_REQUEST, OUTCOME_HR_EXPIRED, "intune-challenge-timestamp",
     "the challenge's time is not valid", TEXT_EXPIRED},
    {"ChallengeExpired", BAD_REQUEST, OUTCOME_HR_EXPIRED, "intune-challenge-expired",
     "the challenge has expired: the device came too late", TEXT_EXPIRED},
    {"SubjectNameMissing", BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
     "intune-request-subject-missing", "the request has no subject", TEXT_REQUEST},
    {"SubjectNameMismatch", BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT, "intune-request-subject",
     "the subject is not the profile's", TEXT_REQUEST},
    {"SubjectAltNameMissing", BAD_REQUEST, HR_SUBJECT_ALT_NAME_REQUIRED,
     "intune-request-san-missing", "the request has no subject alternative name", TEXT_REQUEST},
    {"SubjectAltNameMismatch", BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT, "intune-request-san",
     "the subject alternative names are not the profile's", TEXT_REQUEST},
    {"KeyUsageMismatch", BAD_REQUEST, OUTCOME_HR_INVALIDARG, "intune-request-key-usage",
     "the key usage is not the profile's", TEXT_REQUEST},
    {"KeyLengthMismatch", BAD_REQUEST, OUTCOME_HR_KEY_LENGTH, "intune-request-key-length",
     "the key length is not the profile's", TEXT_REQUEST},
    {"EnhancedKeyUsageMissing", BAD_REQUEST, OUTCOME_HR_INVALIDARG, "intune-request-eku-missing",
     "the request has no extended key usage", TEXT_REQUEST},
    {"EnhancedKeyUsageMismatch", BAD_REQUEST, OUTCOME_HR_INVALIDARG, "intune-request-eku",
     "the extended key usage is not the profile's", TEXT_REQUEST},
    {"AadKeyIdentifierListMissing", BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
     "intune-request-key-list", "the directory knows no keys of the device", TEXT_REQUEST},
    {"RegisteredKeyMismatch", BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "intune-request-key",
     "the key is not one that the directory knows of the device", TEXT_REQUEST},
    {"SigningCertThumbprintMismatch", FAIL_INFO_BAD_CERT_ID, OUTCOME_HR_ACCESS_DENIED,
     "intune-request-signer", "the certificate in use is not the one that Intune expects",
     TEXT_REQUEST},
    {"ScepProfileNoLongerTargetedToTheClient", BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
     "intune-client-target", "the SCEP profile is no longer assigned to device or user",
     TEXT_CLIENT},
    {"SignatureValidationFailed", FAIL_INFO_BAD_MESSAGE_CHECK, OUTCOME_HR_BAD_SIGNATURE,
     "intune-challenge-signature", "the challenge's signature does not hold", TEXT_CHALLENGE},
    {"BadCertificateRequestIdInChallenge", BAD_REQUEST, OUTCOME_HR_NOT_FOUND,
     "intune-client-request-id", "the challenge's request id is not known", TEXT_CLIENT},
    {"BadDeviceIdInChallenge", BAD_REQUEST, OUTCOME_HR_NOT_FOUND, "intune-client-device",
     "the challenge's device is not known", TEXT_CLIENT},
    {"BadUserIdInChallenge", BAD_REQUEST, OUTCOME_HR_NOT_FOUND, "intune-client-user",
     "the challenge's user is not known", TEXT_CLIENT},
    {"Unknown", BAD_REQUEST, HR_FAIL, "intune-unknown", "it names no cause", TEXT_REFUSED},
    {NULL, BAD_REQUEST, HR_FAIL, "intune-code", "this code is not known here", TEXT_REFUSED}};

const char *policy_intune_code_name(int i)
{
    return intune_codes[i].name ? intune_codes[i].name : "other";
}

int policy_intune_code_of(const char *reason)
{
    int i;

    for (i = 0; i < POLICY_INTUNE_CODES; i++) {
        if (strcmp(intune_codes[i].reason, reason) == 0)
            return i;
    }
    return -1;
}

int intune_code_allows(const char *name)
{
    return strcmp(name, "Success") == 0;
}

const intune_code_t *intune_code(const char *name)
{
    const intune_code_t *code = intune_codes;

    while (code->name && strcmp(code->name, name) != 0)
        code++;
    return code;
}
