// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/registrations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "config/load.h"
#include "controlplane/base/printable.h"

namespace sluice::control {

namespace {

std::string document_of(const std::vector<std::string_view>& backends) {
  return fmt::format(R"({{"backends": [{}]}})", fmt::join(backends, ", "));
}

/// Whether a backend says that it leaves. What else it says is of no concern then.
bool says_that_it_leaves(const std::string& value) {
  const nlohmann::json said = nlohmann::json::parse(value, nullptr, false);
  const auto found = said.find("leaving");
  return said.is_object() && found != said.end() && *found == true;
}

/// "" or what is wrong with what a backend says. Each is read by itself, so that it is told whose it is.
std::string fault_of(const etcd::Record& record, std::string_view name) {
  const std::string key = printable(record.key);
  const auto read = config::read_backends(key, document_of({record.value}));
  if (!read) return read.error().front();
  return read->size() == 1 && read->front().name == name ? "" : key + ": is not one backend of its key's name";
}

}  // namespace

PoolDocuments documents_from(const std::vector<etcd::Record>& records, const std::string& prefix) {
  std::map<std::string, std::vector<std::string_view>> members;
  PoolDocuments out;
  for (const etcd::Record& record : records) {
    if (!record.key.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(record.key).substr(prefix.size());
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos) continue;  // of no pool
    const std::string pool(rest.substr(0, slash));
    PoolMembers& said = out[pool];
    if (says_that_it_leaves(record.value)) {
      said.leaving.emplace(rest.substr(slash + 1));
      continue;
    }
    std::string fault = fault_of(record, rest.substr(slash + 1));
    if (fault.empty()) {
      members[pool].push_back(record.value);  // as it came, whole
    } else if (said.fault.empty()) {
      said.fault = std::move(fault);
    }
  }
  for (auto& [pool, said] : out) {
    if (said.fault.empty()) said.document = document_of(members[pool]);
  }
  return out;
}

}  // namespace sluice::control
