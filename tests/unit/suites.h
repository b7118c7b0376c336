/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suites of the unit program, once: SUITE(test_x) is Suite *test_x_suite(void) in test_x.c.
 * tests/guards/check_registration.sh keeps this list equal to the files.  No include guard: each
 * includer gives SUITE a meaning of its own.
 */
SUITE(test_outcome)
SUITE(test_settings)
SUITE(test_crypt)
SUITE(test_csr)
SUITE(test_algorithm)
SUITE(test_ca_backend)
SUITE(test_ca_local)
SUITE(test_ca_signer)
SUITE(test_ca_template)
SUITE(test_caps)
SUITE(test_envelope)
SUITE(test_lookup)
SUITE(test_message)
SUITE(test_next_ca)
SUITE(test_policy)
SUITE(test_policy_wait)
SUITE(test_query)
SUITE(test_reply)
SUITE(test_server)
SUITE(test_store)
SUITE(test_store_limit)
SUITE(test_store_gate)
SUITE(test_store_make)
SUITE(test_store_migrate)
SUITE(test_store_more)
SUITE(test_store_race)
SUITE(test_store_redis)
SUITE(test_store_wait)
