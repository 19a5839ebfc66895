/* SPDX-License-Identifier: Apache-2.0 */
/* Location.DescribeEndpoints: every product that is served here lives at the address which the
 * caller used. */
#include "actions/common.h"

int location_describe_endpoints(struct action *act,
                                const struct location_describe_endpoints_request *req,
                                struct location_describe_endpoints_reply *reply)
{
    static struct str protocols[] = {STR_INIT("HTTP"), STR_INIT("HTTPS")};
    const struct product_row *product = product_by_label(req->service_code);
    struct location_describe_endpoints_endpoint *endpoint;

    if (!catalog_region_find(req->id))
        return fail(act->fail, E_LOCATION_REGION);
    reply->success = true;
    if (!product || strcmp(product->version, "admin") == 0 ||
        !str_eq_nocase(req->type, STR("openAPI")))
        return 0; /* a service that isn't here has no endpoints */
    endpoint = arena_new(act->arena, struct location_describe_endpoints_endpoint);
    *endpoint = (struct location_describe_endpoints_endpoint){
        .endpoint = act->endpoint,
        .id = req->id,
        .serivce_code =
            req->service_code, /* the service spells it so, and some clients read it so */
        .service_code = req->service_code,
        .type = STR("openAPI"),
        .protocols = {protocols, countof(protocols)},
    };
    reply->endpoints = (struct location_describe_endpoints_endpoint_list){endpoint, 1};
    return 0;
}
