/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "gateway/policy.h"

#define STOP "ecs:StopInstance"
#define ONE "acs:ecs:cn-hangzhou:1234:instance/i-1"

static enum policy_verdict decide(const char *statements)
{
    struct arena arena;
    enum policy_verdict verdict;
    struct str document;

    arena_init(&arena, 1 << 20);
    document = arena_printf(&arena, "{\"Version\":\"1\",\"Statement\":%s}", statements);
    assert_int_equal(policy_decide(document, STR(STOP), STR(ONE), &verdict), 0);
    arena_done(&arena);
    return verdict;
}

static void allows(void **state)
{
    static const char *const documents[] = {
        "[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]",
        "{\"Effect\":\"Allow\",\"Action\":\"ecs:*\",\"Resource\":\"*\"}",
        "[{\"Effect\":\"Allow\",\"Action\":[\"ecs:Describe*\",\"ecs:stopinstance\"],\"Resource\":["
        "\"acs:oss:*\",\"" ONE "\"]}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"ecs:Stop?nstance\",\"Resource\":\"acs:ecs:*:*:"
        "instance/i-*\"}]",
        "[{\"Effect\":\"Allow\",\"NotAction\":\"ecs:Delete*\",\"NotResource\":\"acs:ecs:*:*:"
        "instance/i-2\"}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"ecs:S*p*nce\"}]",
    };

    (void)state; /* needs none */
    for (size_t i = 0; i < countof(documents); i++)
        assert_int_equal(decide(documents[i]), POLICY_ALLOW);
}

static void denies_what_nothing_allows(void **state)
{
    static const char *const documents[] = {
        "[]",
        "[{\"Effect\":\"Allow\",\"Action\":\"ecs:Describe*\",\"Resource\":\"*\"}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"ecs:*\",\"Resource\":\"acs:ecs:*:*:instance/i-2\"}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"ecs:StopInstanceX\",\"Resource\":\"*\"}]",
        "[{\"Effect\":\"Allow\",\"Resource\":\"*\"}]",
        "[{\"Effect\":\"Allow\",\"Action\":7,\"Resource\":\"*\"}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{\"Bool\":{\"acs:MFA\":\"true\"}}}]",
    };

    (void)state; /* needs none */
    for (size_t i = 0; i < countof(documents); i++)
        assert_int_equal(decide(documents[i]), POLICY_IMPLICIT_DENY);
}

static void deny_beats_allow(void **state)
{
    static const char *const documents[] = {
        "[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"},{\"Effect\":\"Deny\","
        "\"Action\":\"ecs:Stop*\",\"Resource\":\"*\"}]",
        "[{\"Effect\":\"Deny\",\"Action\":\"ecs:Stop*\"},{\"Effect\":\"Allow\",\"Action\":\"*\","
        "\"Resource\":\"*\"}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"*\"},{\"Effect\":\"Deny\",\"Action\":\"*\","
        "\"Condition\":{\"x\":{}}}]",
        "[{\"Effect\":\"Allow\",\"Action\":\"*\"},{\"Effect\":\"Perhaps\",\"Action\":\"*\"}]",
    };

    (void)state; /* needs none */
    for (size_t i = 0; i < countof(documents); i++)
        assert_int_equal(decide(documents[i]), POLICY_EXPLICIT_DENY);
}

static void what_is_no_policy_is_refused(void **state)
{
    enum policy_verdict verdict;

    (void)state; /* needs none */
    assert_int_equal(policy_decide(STR("{}"), STR(STOP), STR(ONE), &verdict), -E_INVALID);
    assert_int_equal(policy_decide(STR("[]"), STR(STOP), STR(ONE), &verdict), -E_INVALID);
    assert_int_equal(policy_decide(STR("nonsense"), STR(STOP), STR(ONE), &verdict), -E_INVALID);
    assert_int_equal(policy_decide(STR("{\"Statement\":\"x\"}"), STR(STOP), STR(ONE), &verdict),
                     -E_INVALID);
}

static void a_policy_is_known_by_its_grammar(void **state)
{
    static const char *const good[] = {
        "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"ecs:*\",\"Resource\":\"*\"}]}",
        "{\"Statement\":{\"Effect\":\"Deny\",\"NotAction\":[\"ecs:Stop*\"],\"NotResource\":\"x\"}}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Condition\":{}}]}",
    };
    static const char *const bad[] = {
        "", "[]", "{}", "nonsense", "{\"Statement\":[]}", "{\"Statement\":\"x\"}",
        "{\"Statement\":[\"x\"]}", "{\"Statement\":[{\"Action\":\"*\"}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\"}]}",
        "{\"Statement\":[{\"Effect\":\"Perhaps\",\"Action\":\"*\"}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":1}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[]}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"NotAction\":\"*\"}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\"},{}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":{}}]}",
    };

    (void)state; /* needs none */
    for (size_t i = 0; i < countof(good); i++)
        assert_true(policy_valid(str_from(good[i])));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(policy_valid(str_from(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allows),
        cmocka_unit_test(denies_what_nothing_allows),
        cmocka_unit_test(deny_beats_allow),
        cmocka_unit_test(what_is_no_policy_is_refused),
        cmocka_unit_test(a_policy_is_known_by_its_grammar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
