// SPDX-License-Identifier: Apache-2.0
#include "config/schema/pattern.h"

#include <memory>

namespace sluice::config {

std::string pattern_fault(const std::string& pattern) {
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile(pattern.c_str(), kPatternFlags, kPatternMode, nullptr, &database, &error) == HS_SUCCESS) {
    hs_free_database(database);
    return "";
  }
  const std::unique_ptr<hs_compile_error_t, decltype(&hs_free_compile_error)> owner(error, &hs_free_compile_error);
  std::string message = error->message;
  if (message.find("HS_FLAG_ALLOWEMPTY") != std::string::npos) return "matches every greeting, even an empty one";
  if (message.ends_with('.')) message.pop_back();
  return "does not compile: " + message;
}

}  // namespace sluice::config
