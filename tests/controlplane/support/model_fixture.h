// SPDX-License-Identifier: Apache-2.0
//
// A small configuration and the model made of it: pool mta of three backends, service relay on port 25, and a clock
// that the test sets.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "controlplane/model/model.h"

#include "tests/support/ip.h"

namespace sluice::control {

inline const NextHop kHop{{{2, 0, 0, 0, 0, 1}}, "slb0"};

class ModelTest : public testing::Test {
 protected:
  ModelTest() {
    config_.checks = {{.name = "relay"}, {.name = "submission"}};
    config_.pools = {{.name = "mta", .check = "relay", .min_healthy = 0, .backends = {}}};
    for (const char* name : {"mta1", "mta2", "mta3"}) {
      config::Backend backend;
      backend.name = name;
      backend.address = ip("10.0.1." + std::string(name + 3));
      config_.pools[0].backends.push_back(backend);
    }
    config_.dataplane.ports = {{.name = "front", .twin = "slf0"}, {.name = "back", .twin = "slb0"}};
    add_service("relay", 25, "");
  }

  void add_service(const std::string& name, uint16_t port, const std::string& check) {
    config::Service service;
    service.name = name;
    service.vip = ip("192.0.2.25");
    service.port = port;
    service.pool = "mta";
    service.check = check;
    service.table_size = 101;
    config_.services.push_back(service);
  }
  Model model() { return Model(config_, journal_); }
  static void bring_up(Model& model) {
    for (size_t i = 0; i < model.members().size(); i++) {
      model.set_health(i, Health::kUp, "healthy");
      model.set_next_hop(i, kHop);
    }
    model.refresh();
  }
  static size_t entries_of(const Model& model, size_t service, const std::string& name) {
    const Desired desired = model.desired();
    const Table& table = *desired.services[service].table;
    return static_cast<size_t>(std::count_if(table.entries.begin(), table.entries.end(), [&](uint16_t entry) {
      const uint64_t key = table.members.at(entry);
      return std::any_of(model.members().begin(), model.members().end(),
                         [&](const Member& member) { return member.key == key && member.name == name; });
    }));
  }
  bool journal_says(const std::string& subject, const std::string& text) const {
    return std::any_of(journal_.entries().begin(), journal_.entries().end(), [&](const JournalEntry& entry) {
      return entry.subject == subject && entry.text.find(text) != std::string::npos;
    });
  }

  config::Config config_;
  SystemTime now_{std::chrono::seconds(1'800'000'000)};
  Journal journal_{[this] { return now_; }};
};

}  // namespace sluice::control
