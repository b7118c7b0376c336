/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the fuzz targets and of the corpus that fits them: made for this, secret to nobody, and
 * short so that a run is quick.  In the order of scep_fixture_key_e.
 */
#ifndef FUZZ_KEYS_H
#define FUZZ_KEYS_H

#include "../unit/scep_fixture.h"

static const char *const fuzz_keys[SCEP_FIXTURE_KEYS] = {
    /* CA */
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXQIBAAKBgQC9RoMqQH5sYOrBxfovBCbDezb8VRfTuLvNvz5/pYOwNmTJw8BD\n"
    "6lQqf3CCaZfNrlFxxEKI8cT7DAFLlTOww9OXxB5eqcrv3yknTovwYYp1CBF5ZW5P\n"
    "zRoRyPICdkbYBj6VRb+diVg5N3eq4VOCxKkKpntMuJGO+SBF92xHuff7bwIDAQAB\n"
    "AoGAffIiq4XY2hMvgxtS2+A+Twt5TjTtMvQU+9aLJvMjCqlXLa71C/wsX08Hta+/\n"
    "1JxvE23N/EQsmASoA/xXNgNIkugX/mBI5EMzpfgbxzdJi5alf2wORjvH7a83BsW+\n"
    "cEEMb1u5kHeSR4qayyi+HXamRKZ6aJo0Dhh7HtEedySQq3ECQQD6Bz/eHiaS56HG\n"
    "h+ehNHalGr8DW8CV8mcGGARRaOPFOfqgY+aUWGI5sZjaJkMpnUSLhGc1VWTUQYGu\n"
    "G6kNM7IXAkEAwcvNDKP4wlOnc5ymSx/Dn46X80P9742pXnhkdavNwl33S/QMkEKD\n"
    "uhqv32dOE9L4eXKFDCgypCHW72EpMoGQaQJBALEfT5xvqY3qb81v26R0wRQnhWfA\n"
    "qQbQqTFE9FIjxy+h6i2Td/ZhQnxylsD72Bpz4eogSukabIp9OXv49mJ229MCQDQp\n"
    "jv+gAw0LRz8vIvOFkToZP30TB/66uqPa8+9YVwHCGRYwklEiFiK5nC0duT5MwuSt\n"
    "lnI3P6o+EYRNOrGFfkECQQCGwHKx1FKkZ7MovPktiwEz4YsV07+JCpxdEp2KXRD+\n"
    "XCnpJ65g1wKOZC9ij+njveodUVXq5iQzZbAhf8JSXInk\n"
    "-----END RSA PRIVATE KEY-----\n",
    /* signer */
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXQIBAAKBgQDWI4rBrwtqJEeLS97y3O1HfQs4D8+wqcoAZAa1OnmOmcJrzruD\n"
    "e3tu1mcizGPotCQfjpAbN9bsXisTs2F2Ewp5d+lzKITDIvniqDJH47HvYuDQxnaq\n"
    "b4IVw9SBTjF8VehQXimnX9uerhHZRvhjlevbYeZJEvL5ikVlmbrVwsL60QIDAQAB\n"
    "AoGBANUQWCeOu5TItEbtHtAW8iCHUnpdgREOX2c0H1iC7h/s7X3HHNweKRqHSedd\n"
    "5qrLUoXzm375eGeG6uWXPgn1uByBnEPLcu2hoVBDskBEgv3ZYHTJy5hxYLoCQXwF\n"
    "er2UJ4qRKOH03tnCNvmfLXZjs0Bch5CHuENXjybP3OKJNMABAkEA9qRAEDH/QUv7\n"
    "aseCOHSwIQql07kzIi0fEspG6AbRLRvf/4BCtz2MkBpfAMEUzc6HuQvOF80PyobA\n"
    "LTqDhatsUQJBAN5Dk5xFGUqNU5tAe4V5mjoF2eCd3JIb6jYRLQYQxu17UbauuF4d\n"
    "zycacz8PDaN8wd5HAPeIfPySFfWsYEj/hoECQHtvgnxYeVYVj9NF2/8jLw6qRIms\n"
    "s1GUYWvG/iubVc6Ml9NIPpt0W0e3WvqGp0HE7hoHNXKl9xQ10jIQicg5HbECQQCc\n"
    "tucgWzQ+9bEKmYe+kAQnfzKlhokcWCRm5OtrCG9KyRXPihgi/D+woZy6zKFgMbn8\n"
    "QPI0ln8SEur64wSs08aBAkAri86/9MTj+ztjEtfIuuxsP1nVQsWBpJj2CA4UAdCc\n"
    "EH+LLmkH3VjLS7uF96Uv8OB8g1GXxhNMRnQKClyDhnVS\n"
    "-----END RSA PRIVATE KEY-----\n",
    /* decrypter */
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXAIBAAKBgQCk5ybv8odjcMJnfzMM8kwJ1nnx8jdc5+eg4d2WjX6NQcL6cLrn\n"
    "13UDtmZ2o1KlqOh09e0M5bw73f24yZKX3G0DPy0lGsLYjhDRzQ2iBj+3jNxGwmvY\n"
    "uWx2TEWaC9VFIpvmRC4uEA/tUpwpjRGICrcpUaQbCTeVD1bSPaUC+Elg7wIDAQAB\n"
    "AoGAc0gFuIlcjPAveBs8nThmYBpIdhRXD+Qv0hEU0ENqzWXD4UEd6SZ+73F8gEP9\n"
    "a0KCAAJNDk8tIM04qw6AJRo8OoEDUhrqQHs0aumnMiwqtdUFAt27jSH4oVDQXJEX\n"
    "AMAsvpn1atq8Fw40aNH/Xzyfx4bPacKMarp7gvSrzHcGBsECQQDan2juz28oSVvf\n"
    "Rlb2cuWSCJ44B260BU/ynNZnMYKT/lMWRCYEeCJly+IJwzx8Gkd2oI4B7jnoJKyc\n"
    "vQxNCf/1AkEAwRiOuJldp9G1JWs7wV44TQPkEP6R/0qczHDbxfdiaSuj3CJqp2FW\n"
    "YL9X4diuXh5EYiZHr9zLLcbV1kkXay2C0wJAco28ygVfVVi7Dw8oWhJyQEbLwMgE\n"
    "Ncfi0Fll7sR+i1Vj6/LhiM36GCTw1/S5KL4MXBhc0J4nMYCmAar9WxC2UQJAEAKz\n"
    "QsckpteSh4m+qKfhTzF1ZZtWC67qFWF+N4ntlP7TVVtdMIe3m8oBxW4r9w3XabP2\n"
    "2bQa/K6x6FSjJnXdlQJBAM0EOxNSU29cvl9NDqvztRwt78gkt44DJ/Ksd3A+cAOf\n"
    "RHz1y77XGooY0vlssWLkS+6eIHxeO3jCVTXC+TTGW9k=\n"
    "-----END RSA PRIVATE KEY-----\n",
    /* old decrypter */
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXQIBAAKBgQCmgLAYkuuSeaSl53sNn/JIQ+Si1QXC9tym/q1jZ6Ed8TplgphR\n"
    "KZ9do943BALNWbfUcwZzbq74AAvciO7PuQ8q+W7evfSf/4XEaAoFtFUSEdfyNW+O\n"
    "Y0KEwRUF1O9UjwhimpsYawXBPXrVJVmRqFFTZ37815Nt9fXUvDHgQ+qd1wIDAQAB\n"
    "AoGAIp46/sD9TbUQ8JWSViDdRP0oulpEGmctNWNaNYLEUu9mztg6RxW6VsPNXe7t\n"
    "jjiLKhbITpPCuTl5Pd8SmAnIBzdbJoWaeruNX+BbTDxB6nWCEN0w1KIWalxINCTt\n"
    "A9UXw/yBpWfCB61eu66OHNZckRrnZqnRDIC6zDKLJAN2nLECQQDaoIeJDqDZpyej\n"
    "9NCOXdOsADJkcDpWcsiTVYOiBgE0tChSpAko0yay8NpCTp5aXJ2fhzYoRp1oAYBY\n"
    "NPd/BFaDAkEAwvccsBa5tVRr4rjfySbzaJNuN4vAD8Kc5yvUd6b9t4XrXjdteIrE\n"
    "CRWqOeupYpiMTtp5vtLzxEOFU24ADe8bHQJAUwBZFIayOI/Gc++w8iva/dUBTLJy\n"
    "43kmfxEbLXscIBc5q85ND+vCKHNaWYwhgGrjCLq7q+TLQ742LMbHI7jQ4wJBAL9P\n"
    "5vmvwxl5Nshqa0Yij5VdnjipTJTqfjalnr6uwaa1pcl1EFnJqSXU+Y4Ofs8+K+gw\n"
    "oGis7gD31LuSZEFIEM0CQQC6wdJ38gE8khnfVOKqCFMOsM/WISeG351LDDJ0RevT\n"
    "DYvcVSm4w9qG9PGqlm5ynQv7L00pN4xqrQAxWj7D2/0U\n"
    "-----END RSA PRIVATE KEY-----\n",
    /* device */
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXQIBAAKBgQC2AfvjTgDWVpDK+LFQNYKJQqgXT828QyLcazN23pwNkjzmWDmV\n"
    "F7OtDgALUe34OL2IRDOnQyLZdabsrbRi4ylXsTG+HX0sXkkoJOj7tBA8IkuKqf7s\n"
    "u4ng1OcO2ETJtrTPYq00EPHrBkOrzHuddlOX8PCMnaRsj+s6foyJ3vSruwIDAQAB\n"
    "AoGBAIOvccjnMhHiNga04s2OubCICsg7FDbHOFzULzstGylyih9668akjHqEK6IF\n"
    "GDFFFFSYS+sT1w4RYsHReDcn9ktk7Nlw39Y9dFWA6HUnbMpFmzxQ5svGAqNx4xZw\n"
    "8rFiJdkMMw2NuFafbPeGr3hHVIJRHqRsNw8fjkB9A0OLdqkpAkEA2EwRpyM3h6ZV\n"
    "sUyHs/xnPPz842zD5hOxPOiTIinQcQcPcHbZ/CbIwIai+w3JpJ+W+IJ2AlC2jzB6\n"
    "ySuhijAb9wJBANdqotDiWS+0P/5/jWyk93k9VOtFqKNIMK50v/xZjlpjPmpQ3KIo\n"
    "uNrIamT4auXaXs4x0T9sl7pUw2UAPhP61V0CQCrqNNpvj1X3t6rc31PjsWwVWeuZ\n"
    "qeidYZ4PGxo9J6E1YGfU/P0diNlCHVYobyidjWuzHszozL/uQ35kjMGJOBMCQE6p\n"
    "xiL5RRBChkvtUDuoUiaX2va/TUGzDvPl9mW0XmNrclNoi+k7baWXIiMVBBRDlfM+\n"
    "BedfRFjqsx+i4whwxJECQQCVYYeaR+xZm3Q3VPdIVvGe2jlUFtJLLTe0jmyzTPYP\n"
    "MPG8FjJeLxmlmbWHX65I5VrB12JPa2r3sPFsTaMe2/gl\n"
    "-----END RSA PRIVATE KEY-----\n",
    /* stranger */
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXAIBAAKBgQDP500ZRPgvxIQwG1oBcVM5zrmZFcNyzN1eOAXyXfXqPhh/j3Nu\n"
    "0aYtcnndayiABPBWDUpR1KbalVC0R/aerOFEjW7Jeg/FSc2rbtw3GEA9TrQ48E8s\n"
    "Togc9JACZ6aKdUOsidTD6OVxQV0wNnzy2ysepjmsqe/4+hnwQ2Yy9lL1UQIDAQAB\n"
    "AoGALSRV80SsdwK+iQuHUYTfw0+FsR2uoICnGEwlzmhkewYcn6XwNIHFCV0v5Mnd\n"
    "s15fKPAd0QLRb+i3600s2WtERg/loxCecOD93JEEVMc5z5xlfDF3hUB/YkLKchQI\n"
    "ct+b+pYHSP8P04C8icJ6moXLxZCYsXIVRW7WQOuJg8rMv6ECQQD1oRel90oaXc8L\n"
    "/qJdh7Y+M9yXV9TGOXOMPA43YfWMmXgG6Q+2nWZTam0q7SHwmg4nn/iv7VYgz4lY\n"
    "moIKybxFAkEA2K5ySFtgrZIWC/4uzhqF35WdT5SZVxMi+13nn3AHk7xoW+JnDGEc\n"
    "XqyE9feQuF5qZxnBmWPmT1kDr+yNniHznQJBAKxQzt5HlVzZ4p5vjEhBJMCOcXpa\n"
    "y5IkS8NdfjusJS71mxZ9+eAKm/Z4+wzaPq0j5jo2J6iDv6BU9+2ItyIKVGECQD70\n"
    "SC3vpqInXJJ1cmHdYOH6FS+G7BpZbAN+YAp5wSnSRrvThr8ZA+YZ17OjDwASJnX4\n"
    "DMClPsf1A9Y8M1UrZh0CQE1RFHH3Gfrzdh/qhGmu/EKmoxK/NPRH5aSDMJaz+6rH\n"
    "eEbI5vc6yw6kE/aFsH88B6dT8CvyxwfLv4L3+hzWqRg=\n"
    "-----END RSA PRIVATE KEY-----\n"
};

#endif /* FUZZ_KEYS_H */
