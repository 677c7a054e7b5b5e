// SPDX-License-Identifier: Apache-2.0
//
// What the operator calls the services and backends in records of sessions. A record holds ids, which workers give up
// and take for others: what an id meant is remembered for as long as records may name it, so that a session that was
// open when its backend left the file is told with its name. Runs on the event loop; what it hands out does not change.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/channel/client.h"
#include "controlplane/model/model.h"
#include "controlplane/records/client_hello.h"
#include "dataplane/contract/session.h"

namespace sluice::control {

struct ServiceNames {
  std::string name;
  std::string vip;
  uint16_t port = 0;
};

struct BackendNames {
  std::string pool;
  std::string name;
  std::string address;
  uint16_t port = 0;
};

/// What a source was blocked by.
struct BlockNames {
  std::string prefix;  // with its length
  std::string by;      // as `sluicectl blocked` says it
};

/// A record with names, and what its client said when it began TLS; null where that is not known.
struct KnownSession {
  channel::SessionRecord record;
  uint32_t worker = 0;
  std::shared_ptr<const ServiceNames> service;
  std::shared_ptr<const BackendNames> backend;
  std::shared_ptr<const ClientHello> hello;
  std::shared_ptr<const BlockNames> block;  // of those that were refused for it, where it is still known
};

class SessionNames {
 public:
  SessionNames(const Model& model, const ChannelClient& channel)
      : model_(model), channel_(channel), services_(channel::kMaxServices), backends_(channel::kMaxBackends) {}

  /// Looks again at what ids mean now, now and then; to be called before the records of one turn. After a new
  /// connection, ids may mean something else, and so they do after a reload. Backends are remembered as soon as every
  /// worker knows them, before any record names them: when the records come of one that has left, its id may have been
  /// given up.
  void begin_turn();

  std::shared_ptr<const ServiceNames> service(uint32_t worker, channel::ServiceId id);
  std::shared_ptr<const BackendNames> backend(uint32_t worker, channel::BackendId id, uint16_t generation);

 private:
  struct KnownService {
    uint64_t turn = 0;
    std::shared_ptr<const ServiceNames> names;
  };
  struct KnownBackend {
    uint64_t turn = 0;
    uint16_t generation = 0;
    std::shared_ptr<const BackendNames> names;
  };

  void remember_backends();
  std::shared_ptr<const ServiceNames> look_up_service(uint64_t key) const;
  std::shared_ptr<const BackendNames> look_up_backend(uint64_t key) const;

  const Model& model_;
  const ChannelClient& channel_;
  uint64_t turn_ = 0;
  uint64_t applied_ = 0;  // what every worker had, when backends were remembered last
  std::vector<KnownService> services_;
  std::vector<KnownBackend> backends_;
};

}  // namespace sluice::control
