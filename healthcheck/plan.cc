// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/plan.h"

namespace sluice::health {

namespace {

std::expected<std::optional<Pattern>, std::string> compile_if_set(const config::Check& check, const char* setting,
                                                                  const std::string& expression) {
  if (expression.empty()) return std::nullopt;
  auto pattern = Pattern::compile(expression);
  if (pattern) return std::optional<Pattern>(*pattern);
  return std::unexpected("check \"" + check.name + "\": " + setting + " = \"" + expression +
                         "\" is no pattern that Hyperscan takes: " + pattern.error());
}

}  // namespace

std::expected<Plan, std::string> Plan::compile(const config::Check& check) {
  auto expect = compile_if_set(check, "expect", check.expect);
  if (!expect) return std::unexpected(expect.error());
  auto reject = compile_if_set(check, "reject", check.reject);
  if (!reject) return std::unexpected(reject.error());
  return Plan{.check = check, .expect = *expect, .reject = *reject};
}

}  // namespace sluice::health
