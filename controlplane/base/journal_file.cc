// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/journal_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "controlplane/base/json_fields.h"
#include "controlplane/base/state_file.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr std::array kSeverities{Severity::kInfo, Severity::kWarning, Severity::kError};
constexpr int64_t kYear2200Us = 7'258'118'400'000'000;
constexpr int kOpenFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;

std::string to_line(const JournalEntry& entry) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(entry.time.time_since_epoch()).count();
  const json line{
      {"id", entry.id},           {"time_us", us},     {"severity", name_of(entry.severity)}, {"kind", entry.kind},
      {"subject", entry.subject}, {"text", entry.text}};
  // A greeting may be in any encoding.
  return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// Nothing for a line that is no entry.
std::optional<JournalEntry> from_line(std::string_view text) {
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object()) return std::nullopt;
  try {
    JournalEntry out;
    const int64_t us = whole_in(line, "time_us", 0, kYear2200Us);
    out.time = std::chrono::system_clock::time_point(std::chrono::microseconds(us));
    out.id = static_cast<uint64_t>(us);
    if (line.contains("id")) {
      // Of one that no clock has made, its place in the file says as much (Journal::restore()).
      if (const uint64_t id = unsigned_in(line, "id"); id <= INT64_MAX) out.id = id;
    }
    const auto severity = line.at("severity").get<std::string>();
    for (const Severity known : kSeverities) {
      if (name_of(known) == severity) out.severity = known;
    }
    out.kind = line.at("kind").get<std::string>();
    out.subject = line.at("subject").get<std::string>();
    out.text = line.at("text").get<std::string>();
    return out;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::expected<std::vector<JournalEntry>, std::string> JournalFile::open() {
  const auto text = read_state(path_);
  if (!text) return std::unexpected(text.error());
  std::vector<JournalEntry> out;
  const std::optional<std::string>& kept = *text;
  std::string_view rest = kept ? std::string_view(*kept) : std::string_view();
  const bool torn = !rest.empty() && rest.back() != '\n';
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (auto entry = from_line(rest.substr(0, end))) out.push_back(std::move(*entry));
    lines_++;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (lines_ != 0 && out.empty()) {
    set_aside(path_);
    lines_ = 0;
  }
  if (out.size() > Journal::kMaxEntries) out.erase(out.begin(), out.end() - Journal::kMaxEntries);
  file_ = Descriptor(::open(path_.c_str(), kOpenFlags, 0640));
  if (!file_) return std::unexpected(fmt::format("cannot append to {}: {}", path_, std::strerror(errno)));
  if (torn && !out.empty() && ::write(file_.get(), "\n", 1) != 1) {
    return std::unexpected(fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
  }
  return out;
}

std::string JournalFile::append(const JournalEntry& entry, const std::deque<JournalEntry>& all) {
  if (!file_) return "";
  std::string fault;
  if (++lines_ > kMaxLines) {
    fault = rewrite(all);
  } else {
    const std::string line = to_line(entry);
    if (::write(file_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      fault = fmt::format("events are not kept: cannot write {}: {}", path_, std::strerror(errno));
    }
  }
  const bool is_news = !fault.empty() && !failed_;
  failed_ = !fault.empty();
  return is_news ? fault : "";
}

std::string JournalFile::rewrite(const std::deque<JournalEntry>& all) {
  std::string text;
  for (const JournalEntry& each : all) text += to_line(each);
  if (const auto saved = save_state(path_, text); !saved) return "events are not kept: " + saved.error();
  file_ = Descriptor(::open(path_.c_str(), kOpenFlags, 0640));
  lines_ = all.size();
  return file_ ? "" : fmt::format("events are not kept: cannot open {}: {}", path_, std::strerror(errno));
}

}  // namespace sluice::control
