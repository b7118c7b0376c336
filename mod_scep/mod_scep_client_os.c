/* SPDX-License-Identifier: Apache-2.0 */
/* User agents of SCEP clients (see mod_scep_client_os.h). */
#include "mod_scep_client_os.h"
#include <httpd.h>

static const char *const names[SCEP_CLIENTS] = {"Windows",  "Apple", "Android",
                                                "ChromeOS", "Cisco", "other"};

scep_client_os_e scep_client_os(const char *agent)
{
    static const struct {
        const char *word;
        scep_client_os_e os;
    } known[] = {
        {"CrOS", SCEP_CLIENT_CHROMEOS},   {"Android", SCEP_CLIENT_ANDROID},
        {"Dalvik", SCEP_CLIENT_ANDROID},  {"Darwin", SCEP_CLIENT_APPLE},
        {"CFNetwork", SCEP_CLIENT_APPLE}, {"iPhone", SCEP_CLIENT_APPLE},
        {"iPad", SCEP_CLIENT_APPLE},      {"Macintosh", SCEP_CLIENT_APPLE},
        {"mdmclient", SCEP_CLIENT_APPLE}, {"Cisco", SCEP_CLIENT_CISCO},
        {"Win32", SCEP_CLIENT_WINDOWS},   {"Windows", SCEP_CLIENT_WINDOWS},
        {"WinHttp", SCEP_CLIENT_WINDOWS}, {"NDES client", SCEP_CLIENT_WINDOWS},
    };
    apr_size_t i;

    for (i = 0; agent && i < sizeof(known) / sizeof(known[0]); i++) {
        if (ap_strcasestr(agent, known[i].word)) {
            return known[i].os;
        }
    }
    return SCEP_CLIENT_OTHER;
}

const char *scep_client_os_name(scep_client_os_e os)
{
    return names[os];
}
