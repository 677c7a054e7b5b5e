// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_output.h"

#include <array>

#include "controlplane/records/datagram_output.h"
#include "controlplane/records/file_output.h"
#include "controlplane/records/ipfix_output.h"
#include "controlplane/records/syslog_output.h"

namespace sluice::control {

namespace {

using Make = std::unique_ptr<SessionOutput> (*)(const std::string& rest, const config::Records& config);

struct Kind {
  std::string_view prefix;  // of records.to
  std::string_view name;
  Make make;
};

constexpr std::array<Kind, 4> kKinds{{
    {"file:", "file",
     [](const std::string& path, const config::Records& config) -> std::unique_ptr<SessionOutput> {
       return std::make_unique<FileOutput>(path, uint64_t{config.rotate_mb} * 1'000'000, config.keep);
     }},
    {"unix-datagram:", "unix_datagram",
     [](const std::string& path, const config::Records&) -> std::unique_ptr<SessionOutput> {
       return std::make_unique<DatagramOutput>(path);
     }},
    {"syslog:", "syslog",
     [](const std::string& where, const config::Records&) -> std::unique_ptr<SessionOutput> {
       return std::make_unique<SyslogOutput>(where);
     }},
    {"ipfix:", "ipfix",
     [](const std::string& where, const config::Records&) -> std::unique_ptr<SessionOutput> {
       return std::make_unique<IpfixOutput>(where);
     }},
}};

const Kind* kind(const config::Records& config) {
  for (const Kind& each : kKinds) {
    if (config.to.starts_with(each.prefix)) return &each;
  }
  return nullptr;
}

}  // namespace

Written LineOutput::write(std::span<const KnownSession* const> sessions, const LineStyle& style) {
  lines_.clear();
  for (const KnownSession* session : sessions) {
    append_json(lines_, *session, style);
    lines_.push_back('\n');
  }
  return write_lines({lines_.data(), lines_.size()});
}

std::unique_ptr<SessionOutput> make_output(const config::Records& config) {
  const Kind* found = kind(config);
  return found == nullptr ? nullptr : found->make(config.to.substr(found->prefix.size()), config);
}

std::string_view kind_of(const config::Records& config) {
  const Kind* found = kind(config);
  return found == nullptr ? "none" : found->name;
}

}  // namespace sluice::control
