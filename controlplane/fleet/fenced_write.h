// SPDX-License-Identifier: Apache-2.0
//
// Makes fenced changes in etcd.
#pragma once

#include <boost/asio/io_context.hpp>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_client.h"
#include "controlplane/fleet/etcd_messages.h"
#include "controlplane/fleet/fenced_change.h"

namespace sluice::control {

/// Makes all of these changes or none, and then tells `told` of all keys as they are, which answers why it does not
/// believe them, or "". `done`: what came of it; the error says why not, or who was faster. Neither is called before
/// this returns.
void make_fenced(boost::asio::io_context& io, EtcdClient client, const std::string& prefix,
                 std::vector<FencedChange> changes, std::function<std::string(const etcd::Listing&)> told,
                 std::function<void(std::expected<void, std::string>)> done);

}  // namespace sluice::control
