// SPDX-License-Identifier: Apache-2.0
#include "config/file/findings.h"

#include <fmt/format.h>

#include <utility>

namespace sluice::config {

namespace {

/// A message as it is shown: behind the setting it is about.
std::string about(std::string_view path, std::string_view message) {
  return path.empty() ? std::string(message) : fmt::format("{}: {}", path, message);
}

}  // namespace

Findings::Findings(Source source) : source_(std::move(source)), faults_(source_.faults()) {}

void Findings::saw(const std::string& path, unsigned line) {
  seen_.try_emplace(path, Place{line});
}

void Findings::add(std::string_view path, std::string_view message) {
  faults_.emplace(line_of(path), about(path, message));
  if (const auto place = seen_.find(path); place != seen_.end()) place->second.sound = false;
}

void Findings::warn(std::string_view path, std::string_view message) {
  warnings_.emplace(line_of(path), about(path, message));
}

bool Findings::sound(std::string_view path) const {
  const auto place = seen_.find(path);
  return place == seen_.end() || place->second.sound;
}

std::string Findings::where(std::string_view path, std::string_view from) const {
  if (seen_.empty()) return std::string(path);
  return source_.name_line(line_of(path), line_of(from));
}

Files Findings::files(std::string_view setting) const {
  const auto place = seen_.find(setting);
  return files_of(source_, place == seen_.end() ? std::nullopt : std::optional(place->second.line));
}

unsigned Findings::line_of(std::string_view path) const {
  while (!path.empty()) {
    if (const auto place = seen_.find(path); place != seen_.end()) return place->second.line;
    const size_t cut = path.find_last_of(".[");
    path = path.substr(0, cut == std::string_view::npos ? 0 : cut);
  }
  return 1;
}

std::vector<Fault> Findings::faults() const {
  std::vector<Fault> out;
  out.reserve(faults_.size());
  for (const auto& [line, message] : faults_) out.push_back(source_.fault_at(line, message));
  return out;
}

std::vector<Fault> Findings::warnings() const {
  std::vector<Fault> out;
  out.reserve(warnings_.size());
  for (const auto& [line, message] : warnings_) {
    out.push_back(source_.fault_at(line, message));
    out.back().is_warning = true;
  }
  return out;
}

}  // namespace sluice::config
