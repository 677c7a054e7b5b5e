// SPDX-License-Identifier: Apache-2.0
//
// What backends say of themselves: the key PREFIX/backends/POOL/NAME holds one, as it would stand in a document of
// discovered backends (docs/discovery.md). Pure.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

/// By pool: a document of its members (config/load.h), or which of the keys is wrong.
using PoolDocuments = std::map<std::string, std::expected<std::string, std::string>>;

/// `prefix`: of all those keys, "/sluice/mx/backends/".
PoolDocuments documents_from(const std::vector<etcd::Record>& records, const std::string& prefix);

}  // namespace sluice::control
