// SPDX-License-Identifier: Apache-2.0
//
// Who may come.
#include "config/bounds.h"
#include "config/schema/settings_of.h"

namespace sluice::config {

namespace {

bool counts_prefixes(const Limit& limit) {
  return limit.of == LimitOf::kPrefix;
}
bool counts_new(const Limit& limit) {
  return limit.per_second != 0;
}

Group<Limit> limit_settings() {
  return {
      required(choice("of", &Limit::of, "what is counted as one source: each address, or all of a prefix together")),
      only_with("of", "`of` = \"prefix\"", counts_prefixes,
                integer("prefix_v4", &Limit::prefix_v4, {8, 32}, "length of such a prefix, of IPv4")),
      only_with("of", "`of` = \"prefix\"", counts_prefixes,
                integer("prefix_v6", &Limit::prefix_v6, {16, 128}, "likewise of IPv6")),
      defaults_to("no limit", integer("connections", &Limit::connections, {1, 10'000'000}, "sessions open at once")),
      defaults_to("no limit", integer("per_second", &Limit::per_second, {1, 100'000}, "new sessions a second")),
      defaults_to("twice `per_second`", only_with("per_second", "`per_second`", counts_new,
                                                  integer("burst", &Limit::burst, {1, 1'000'000},
                                                          "new sessions at once, after a time without"))),
      choice("action", &Limit::action,
             "what becomes of a new connection beyond that: told 421 (reset where clients speak first), reset, "
             "dropped, or "
             "kept waiting for half a minute and then told 421"),
      defaults_to("all", texts("services", &Limit::services, name_rule(), kMaxServices, "those that it holds for")),
  };
}

Group<Route> route_settings() {
  return {
      required(prefixes("from", &Route::from, kMaxRoutePrefixes, "these clients")),
      required(text("service", &Route::service, name_rule(), "of this service, one of `services`")),
      required(text("pool", &Route::pool, pool_rule(), "go to this pool, and to no other")),
  };
}

Group<EarlyTalkers> early_talkers_settings() {
  return {
      choice("action", &EarlyTalkers::action, "what is done about the session itself: it is counted"),
      integer("remember", &EarlyTalkers::remember, {1, 86400, "s"}, "how long such a source is remembered"),
      choice("then", &EarlyTalkers::then,
             "what becomes of its new connections meanwhile: nothing, told 421 (reset where clients speak first), or "
             "dropped"),
  };
}

Group<AuthFailures> auth_failures_settings() {
  return {
      integer("per_minute", &AuthFailures::per_minute, {1, 100'000},
              "a source with more refused AUTH commands, seen in plain text, guesses passwords"),
      integer("short_tls_sessions", &AuthFailures::short_tls_sessions, {0, 1000},
              "so many sessions under TLS that are over soon and bring no mail count as one refused AUTH command, as "
              "nobody sees those; 0 = they do not count"),
      integer("block_for", &AuthFailures::block_for, {1, 604'800, "s"}, "how long its new connections are dropped"),
      defaults_to("all", texts("services", &AuthFailures::services, name_rule(), kMaxServices,
                               "those whose sessions are looked at")),
  };
}

}  // namespace

Group<Sources> sources_settings() {
  return {
      text("block_file", &Sources::block_file, file_rule(),
           "prefixes whose new sessions are dropped, one a line, comments from \"#\" on; read again when it changes"),
      prefixes("allow", &Sources::allow, kMaxAllowedPrefixes,
               "exempt from limits, and from what blocks them, whatever its length"),
      list("limits", &Sources::limits, limit_settings(), kMaxLimits, "how many sessions a source may have"),
      list("routes", &Sources::routes, route_settings(), kMaxRoutes,
           "pools of their own for some clients; of several that name a client, the first holds"),
      optional_group("early_talkers", &Sources::early_talkers, early_talkers_settings(),
                     "clients that speak before the greeting, where the server speaks first"),
      optional_group("auth_failures", &Sources::auth_failures, auth_failures_settings(),
                     "sources that guess passwords"),
  };
}

}  // namespace sluice::config
