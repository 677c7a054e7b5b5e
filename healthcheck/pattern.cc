// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/pattern.h"

#include <new>

#include "config/schema/pattern.h"

namespace sluice::health {

namespace {

/// So far beyond a text Hyperscan 5.4 may read, with AVX-512 VBMI (vectorscan issue 322).
constexpr size_t kReadAhead = 64;

int stop_at_first(unsigned, unsigned long long, unsigned long long, unsigned, void* found) {
  *static_cast<bool*>(found) = true;
  return 1;
}

}  // namespace

Pattern::Pattern(hs_database_t* database) : database_(database, &hs_free_database) {}

std::expected<Pattern, std::string> Pattern::compile(const std::string& expression) {
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile(expression.c_str(), config::kPatternFlags, config::kPatternMode, nullptr, &database, &error) ==
      HS_SUCCESS)
    return Pattern(database);
  const std::unique_ptr<hs_compile_error_t, decltype(&hs_free_compile_error)> owner(error, &hs_free_compile_error);
  return std::unexpected(std::string(error->message));
}

Matcher::~Matcher() {
  hs_free_scratch(scratch_);
}

bool Matcher::matches(const Pattern& pattern, std::string_view text) {
  // Grows the scratch space if this pattern needs more than those before it; otherwise it only compares sizes.
  if (hs_alloc_scratch(pattern.database(), &scratch_) != HS_SUCCESS) throw std::bad_alloc();
  copy_.assign(text);
  copy_.append(kReadAhead, '\0');
  bool found = false;
  hs_scan(pattern.database(), copy_.data(), static_cast<unsigned>(text.size()), 0, scratch_, &stop_at_first, &found);
  return found;
}

}  // namespace sluice::health
