// SPDX-License-Identifier: Apache-2.0
//
// Whether the tables of a configuration have room in the channel's memory.
#include <fmt/format.h>

#include "controlplane/base/journal.h"
#include "controlplane/model/model.h"
#include "dataplane/contract/segment.h"

namespace sluice::control {

namespace {

double in_mib(size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

}  // namespace

TableMemory table_memory(const Model& model) {
  TableMemory out;
  for (const Placement& placement : model.placements()) {
    out.bytes += channel::align_up(placement.table_size * sizeof(channel::BackendId), channel::kArenaUnit);
  }
  return out;
}

TableMemory table_memory(const config::Config& config) {
  Journal journal;
  return table_memory(Model(config, journal));
}

std::string table_memory_fault(const TableMemory& memory) {
  if (memory.bytes <= memory.most) return "";
  return fmt::format(
      "the tables of all services together need {:.1f} MiB, {:.1f} MiB are allowed; use smaller values of table_size",
      in_mib(memory.bytes), in_mib(memory.most));
}

}  // namespace sluice::control
