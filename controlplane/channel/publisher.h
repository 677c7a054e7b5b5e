// SPDX-License-Identifier: Apache-2.0
//
// Turns what the data plane is meant to know into the commands that get it there. One Publisher per connection;
// it does no I/O: the caller takes the commands to the workers and says what they have applied.
//
// Invariants. 1. A command refers to an arena slot only after the table in it is complete. 2. A slot is written
// again only when every worker has applied the command that replaced it. 3. A backend's id is given up only
// after every table that names it has been replaced. 4. Sequences count up from 1 without a gap.
// 5. Our own addresses go out before the backends and services that need them, and leave after.
// 6. Where there are not ids for what is new beside what goes, tables name the new without an id not at all, what goes
// is dropped, and all is said again: an aim that fits is reached in the end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/model/desired.h"
#include "controlplane/tables/arena.h"
#include "controlplane/tables/ids.h"

namespace sluice::control {

/// Who has which id in the data plane.
struct Ids {
  IdAllocator services;
  IdAllocator backends;
  IdAllocator locals;
};

class Publisher {
 public:
  /// `arena` is the segment's, to be written; `workers` share each backend's max_connections.
  Publisher(std::span<std::byte> arena, uint32_t workers, Ids ids);

  /// What to aim for from now on. Earlier aims that were not reached yet are skipped.
  void aim_for(Desired desired);

  /// Commands that lead towards the aim: the whole snapshot the first time, then differences; empty if there is nothing
  /// to say, or if what is left has to wait for acknowledgements (`is_waiting`).
  std::vector<channel::Command> advance();

  /// Every worker has applied all commands up to `sequence`.
  void acknowledge(uint64_t sequence);

  /// Gives commands that are not of the desired state their sequences: they are the next to be sent.
  void number(std::span<channel::Command> commands);

  uint64_t last_sequence() const { return sequence_; }
  uint64_t acknowledged() const { return acknowledged_; }
  /// Whether a table still waits for room in the arena.
  bool is_waiting() const { return waiting_; }
  /// Whether all that is aimed for has been said.
  bool is_complete() const { return !aimed_ && !ran_out_; }
  /// What cannot be published however long one waits (ids or room exhausted), in words; "" normally.
  const std::string& fault() const { return fault_; }

  /// The data plane's id of a published backend or service; kNoBackend, kNoService if it has none.
  channel::BackendId backend_id(uint64_t key) const;
  channel::ServiceId service_id(uint64_t key) const;
  /// By what workers count the sessions of sources (channel::PutLimits::layout); 0 if there are no limits.
  uint32_t limits_layout() const { return limits_ == 0 ? 0 : limits_layout_; }

 private:
  struct PublishedBackend {
    DesiredBackend backend;
    Id id;
  };
  struct PublishedService {
    DesiredService service;
    Id id;
  };
  struct TableSlot {
    ArenaSlot slot;
    uint32_t generation = 0;
    uint32_t users = 0;  // services and routes
  };

  channel::CommandHeader header(channel::CommandType type, uint16_t id = 0);
  /// Whether anything was dropped.
  bool say_once(std::vector<channel::Command>& out);
  void put_secret(std::vector<channel::Command>& out);
  void put_locals(std::vector<channel::Command>& out);
  /// Writes it. Nothing if there is no room, or it is empty. `what`: "a list of sources".
  std::optional<ArenaSlot> place_image(std::span<const std::byte> image, std::string_view what);
  std::optional<ArenaSlot> place_list(const SourceList* list);
  void put_sources(channel::SourceListId id, const std::shared_ptr<const SourceList>& list,
                   std::vector<channel::Command>& out);
  void put_server_routes(std::vector<channel::Command>& out);
  void put_limits(std::vector<channel::Command>& out);
  /// The rules of `desired_`, with the ids of services.
  channel::LimitRules limit_rules() const;
  void put_backends(std::vector<channel::Command>& out);
  void put_services(std::vector<channel::Command>& out);
  void put_routes(std::vector<channel::Command>& out);
  /// Whether it is as desired now; if not, it has to wait for room in the arena.
  bool put_route(uint16_t place, const DesiredRoute& route, std::vector<channel::Command>& out);
  /// Whether anything was.
  bool drop_the_rest(std::vector<channel::Command>& out);
  bool is_all_wanted() const;
  /// The table itself, or one that leaves out members without an id.
  std::shared_ptr<const Table> publishable(const std::shared_ptr<const Table>& table);
  void ran_out(std::string_view what, size_t most);
  /// Whether the service is as desired now; if not, the rest has to wait for room in the arena.
  bool put_service(const DesiredService& service, std::vector<channel::Command>& out);
  /// Takes a reference to the table's slot. Null for a table of no entries, and where there is no room.
  const TableSlot* place_table(const std::shared_ptr<const Table>& table);
  void write_table(const Table& table, ArenaSlot slot);
  void let_go(const Table* table);

  std::span<std::byte> arena_;
  uint32_t workers_;
  ArenaAllocator allocator_;
  Ids ids_;
  Desired desired_;
  bool aimed_ = false;     // desired_ may differ from what is published
  bool snapshot_ = false;  // has been sent
  uint64_t secret_ = 0;    // as workers know it
  bool waiting_ = false;
  bool ran_out_ = false;                                                    // of ids
  std::unordered_map<const Table*, std::shared_ptr<const Table>> partial_;  // of desired_: what stands in for it
  std::string fault_;
  uint64_t sequence_ = 0;
  uint64_t acknowledged_ = 0;
  uint32_t table_generation_ = 0;
  std::unordered_map<uint64_t, PublishedBackend> backends_;
  std::unordered_map<uint64_t, PublishedService> services_;
  std::unordered_map<uint64_t, Id> locals_;
  std::unordered_map<const Table*, TableSlot> tables_;  // kept alive by services_ and routes_
  struct PublishedList {
    std::shared_ptr<const SourceList> list;
    std::optional<ArenaSlot> slot;
  };
  std::array<PublishedList, channel::kSourceLists> lists_;
  struct PublishedRoute {
    DesiredRoute route;
    std::optional<ArenaSlot> sources;
  };
  std::array<PublishedRoute, channel::kMaxRoutes> routes_;
  struct PublishedServerRoutes {
    std::shared_ptr<const ServerRouteTable> table;
    std::optional<ArenaSlot> slot;
  };
  PublishedServerRoutes server_routes_;
  channel::LimitRules limit_rules_{};
  size_t limits_ = 0;  // how many of them there are
  uint32_t limits_layout_ = 0;
  std::optional<ArenaSlot> limits_slot_;
};

}  // namespace sluice::control
