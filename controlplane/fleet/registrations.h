// SPDX-License-Identifier: Apache-2.0
//
// What backends say of themselves: the key PREFIX/backends/POOL/NAME holds one, as it would stand in a document of
// discovered backends (docs/discovery.md). One that leaves puts `"leaving": true` into it, and lets its lease end.
// Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

struct PoolMembers {
  std::string document = R"({"backends": []})";  // of those that stay (config/load.h)
  std::set<std::string> leaving;                 // names of those that say that they leave
  std::string fault;                             // which key is wrong: `document` says nothing then; "" = none is
};

/// By pool.
using PoolDocuments = std::map<std::string, PoolMembers>;

/// `prefix`: of all those keys, "/sluice/mx/backends/".
PoolDocuments documents_from(const std::vector<etcd::Record>& records, const std::string& prefix);

}  // namespace sluice::control
