// SPDX-License-Identifier: Apache-2.0
//
// All keys of a prefix, again whenever one of them changes. A watch says that something did, and all are listed anew:
// so nothing hangs on whether an event was missed, or the history compacted. They are listed every few seconds in any
// case, by which a member that is cut off from the others is noticed: it answers no such question.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "config/model.h"
#include "controlplane/fleet/etcd_identity.h"
#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

class EtcdFollower {
 public:
  using Heard = std::expected<etcd::Listing, std::string>;
  /// Told of each listing, changed or not, or why there is none; and where etcd was known to be when it was asked. May
  /// end the follower.
  using Told = std::function<void(const Heard&, const EtcdIdentity::Asked&)>;

  static constexpr std::chrono::seconds kInterval{5};
  static constexpr std::chrono::seconds kAfterFault{1};       // of a question, or of a watch
  static constexpr std::chrono::milliseconds kShortest{100};  // between two listings

  /// Begins at once. `identity` outlives this.
  EtcdFollower(boost::asio::io_context& io, const config::Etcd& etcd, const EtcdIdentity& identity, std::string prefix,
               Told told);
  ~EtcdFollower();
  /// The member that answered last, or is asked next.
  size_t member() const;
  EtcdFollower(const EtcdFollower&) = delete;
  EtcdFollower& operator=(const EtcdFollower&) = delete;

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace sluice::control
