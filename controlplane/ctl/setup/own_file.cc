// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/setup/own_file.h"

#include <fmt/format.h>

namespace sluice::ctl {

namespace {

/// FNV-1a, 64 bits (Fowler, Noll, Vo): against accidents, not against forgers, who could write the file anyway.
uint64_t digest(std::string_view text) {
  uint64_t out = 0xcbf29ce484222325;
  for (const char c : text) out = (out ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return out;
}

}  // namespace

std::string own_text(std::string_view instance, std::string_view body) {
  return fmt::format(
      "# Of sluicectl setup, instance {}, {:016x}: setup --undo removes this file, unless it is changed by hand.\n{}",
      instance, digest(body), body);
}

bool is_of_setup(std::string_view text) {
  return text.starts_with("# Of sluicectl setup, instance ");
}

Found find_own(const Machine& machine, const std::string& path, std::string_view instance) {
  if (!machine.target(path).empty()) return {Owner::kOthers, ""};
  if (!machine.has(path)) return {};
  const auto text = machine.text(path);
  if (!text) return {Owner::kOthers, ""};
  const size_t end = text->find('\n');
  std::string body = end == std::string::npos ? "" : text->substr(end + 1) + "\n";  // blanks at the end are not told
  if (own_text(instance, body) != *text + "\n") return {Owner::kOthers, ""};
  return {Owner::kSetup, std::move(body)};
}

}  // namespace sluice::ctl
