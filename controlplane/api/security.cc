// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/api/api.h"
#include "controlplane/base/times.h"
#include "controlplane/discovery/dns_types.h"
#include "controlplane/security/mail_security.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

json time_or_null(const std::optional<SystemTime>& time) {
  return time ? json(to_rfc3339(*time)) : json(nullptr);
}

/// Null where the check does not ask for it.
json finding_json(const std::optional<DaneFinding>& finding) {
  if (!finding) return nullptr;
  return {{"state", name_of(finding->dane)}, {"why", finding->why}};
}
json finding_json(const std::optional<StsFinding>& finding) {
  if (!finding) return nullptr;
  return {{"state", name_of(finding->sts)}, {"why", finding->why}};
}

json backend_json(const BackendSecurity& backend) {
  return {{"name", backend.name},
          {"starttls", backend.offers_starttls ? json(*backend.offers_starttls) : json(nullptr)},
          {"not_after", time_or_null(backend.not_after)},
          {"dane", finding_json(backend.dane)},
          {"mta_sts", finding_json(backend.sts)}};
}

/// Whose certificate ends first, and whose last; null while none is known.
json expiry_json(const PoolSecurity& pool) {
  std::vector<std::pair<SystemTime, std::string>> known;
  for (const BackendSecurity& backend : pool.backends)
    if (const auto& end = backend.not_after) known.emplace_back(*end, backend.name);
  if (known.empty()) return nullptr;
  const auto [first, last] = std::ranges::minmax_element(known, {}, &std::pair<SystemTime, std::string>::first);
  return {{"first", to_rfc3339(first->first)},
          {"first_backend", first->second},
          {"last", to_rfc3339(last->first)},
          {"last_backend", last->second}};
}

json pool_json(const PoolSecurity& pool) {
  json out{{"pool", pool.pool},
           {"port", pool.port},
           {"check", pool.check},
           {"server_name", pool.server_name},
           {"tlsa", pool.tlsa_name.empty() ? json(nullptr) : json(pool.tlsa_name)},
           {"mail_domain", pool.mail_domain.empty() ? json(nullptr) : json(pool.mail_domain)},
           {"starttls_fault", pool.starttls_fault},
           {"certificate_fault", pool.certificate_fault},
           {"expiry", expiry_json(pool)},
           {"backends", json::array()}};
  for (const BackendSecurity& backend : pool.backends) out["backends"].push_back(backend_json(backend));
  return out;
}

json records_json(const std::string& name, const TlsaKnown& known) {
  json out{{"name", name},
           {"fault", known.fault},
           {"answered", time_or_null(known.answered)},
           {"authenticated", known.answer ? json(known.answer->authenticated) : json(nullptr)},
           {"records", json::array()}};
  if (!known.answer) return out;
  for (const TlsaRecord& record : known.answer->records)
    out["records"].push_back({{"record", to_string(record)}, {"unusable", unusable_reason(record)}});
  return out;
}

json signed_json(const RecordSet& of, const SignedKnown& known) {
  return {{"name", of.name},
          {"type", name_of_wire_type(of.wire_type)},
          {"state", name_of(known.state)},
          {"fault", known.fault},
          {"answered", time_or_null(known.answered)}};
}

json policy_json(const std::string& domain, const StsKnown& known) {
  const auto& policy = known.policy();
  return {{"domain", domain},
          {"fault", known.fault()},
          {"id", policy ? json(known.id()) : json(nullptr)},
          {"mode", policy ? json(name_of(policy->mode)) : json(nullptr)},
          {"mx", policy ? json(policy->mx) : json::array()},
          {"max_age_s", policy ? json(policy->max_age.count()) : json(nullptr)},
          {"fetched", time_or_null(known.fetched())}};
}

ApiResponse show(const ApiContext& context) {
  json out{{"time", to_rfc3339(context.journal.now())},
           {"pools", json::array()},
           {"records", json::array()},
           {"signatures", json::array()},
           {"policies", json::array()}};
  for (const PoolSecurity& pool : context.security->pools()) out["pools"].push_back(pool_json(pool));
  for (const auto& [name, known] : context.security->records()) out["records"].push_back(records_json(name, known));
  for (const auto& [of, known] : context.security->signatures()) out["signatures"].push_back(signed_json(of, known));
  for (const auto& [key, known] : context.security->policies())
    out["policies"].push_back(policy_json(key.first, *known));
  return ApiResponse::json(out);
}

}  // namespace

void add_security_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/security", [&context](const ApiRequest&) { return show(context); });
}

}  // namespace sluice::control
