// SPDX-License-Identifier: Apache-2.0
//
// What backends say of themselves: the key PREFIX/backends/POOL/NAME holds one, as it would stand in a document of
// discovered backends (docs/discovery.md). One that leaves puts `"leaving": true` into it, and lets its lease end.
// Pure.
#pragma once

#include <expected>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

struct PoolMembers {
  std::string document = R"({"backends": []})";  // of those that stay (config/load.h)
  std::set<std::string> leaving;                 // names of those that say that they leave
};

/// By pool: its members, or which of the keys is wrong.
using PoolDocuments = std::map<std::string, std::expected<PoolMembers, std::string>>;

/// `prefix`: of all those keys, "/sluice/mx/backends/".
PoolDocuments documents_from(const std::vector<etcd::Record>& records, const std::string& prefix);

}  // namespace sluice::control
