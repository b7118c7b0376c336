/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of device asks, as its user agent tells; for the audit log and the metrics. */
#ifndef MOD_SCEP_CLIENT_OS_H
#define MOD_SCEP_CLIENT_OS_H

typedef enum {
    SCEP_CLIENT_WINDOWS,
    SCEP_CLIENT_APPLE,
    SCEP_CLIENT_ANDROID,
    SCEP_CLIENT_CHROMEOS,
    SCEP_CLIENT_CISCO,
    SCEP_CLIENT_OTHER,
    SCEP_CLIENTS /* how many there are */
} scep_client_os_e;

/* By the User-Agent header; NULL and what is not known is OTHER. */
scep_client_os_e scep_client_os(const char *agent);

/* "Windows", "Apple", "Android", "ChromeOS", "Cisco", "other". */
const char *scep_client_os_name(scep_client_os_e os);

#endif /* MOD_SCEP_CLIENT_OS_H */
